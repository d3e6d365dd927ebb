"""What the models of GPT and GPT-2 share: special tokens, pruning, initialisation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from torch import nn

from .. import _C
from ..file_utils import StrPath
from .config import cpp_config
from .layers import BertLayerNorm
from .loading import PretrainedModel
from .pruning import prune_as_configured, prune_fused_heads, prune_layers
from .self_attention import HasSelfAttentions

_Model = TypeVar("_Model", bound="GPTPreTrainedModel")


class GPTPreTrainedModel(PretrainedModel):
    """Base of the two families' base classes."""

    def init_weights(self, module: nn.Module) -> None:
        """Initialises one module with `config.initializer_range`; for use with `self.apply`."""
        if isinstance(module, (nn.Linear, nn.Embedding)):
            module.weight.data.normal_(mean=0.0, std=self.config.initializer_range)
        elif isinstance(module, BertLayerNorm):
            module.bias.data.zero_()
            module.weight.data.fill_(1.0)
        if isinstance(module, nn.Linear) and module.bias is not None:
            module.bias.data.zero_()

    def set_num_special_tokens(self, num_special_tokens: int) -> None:
        """Does nothing; models with embeddings of special tokens resize them."""

    def set_tied(self) -> None:
        """Does nothing; models with a language-model head tie it to the token embeddings."""

    @classmethod
    def from_pretrained(
        cls: type[_Model],
        pretrained_model_name_or_path: StrPath,
        *inputs: Any,
        num_special_tokens: int | None = None,
        **kwargs: Any,
    ) -> _Model:
        """Makes a model and loads its configuration and weights; as `BertModel.from_pretrained`.

        Args:
            pretrained_model_name_or_path: A folder, an archive, a URL, a name such as "gpt2" or
                "openai-gpt", or an id of the Hugging Face Hub.
            *inputs: Further arguments of the class, after `config`.
            num_special_tokens: The number of special tokens that the model is to have; None for
                that of the configuration.
            **kwargs: `state_dict`, `cache_dir`, and further arguments of the class.
        """
        model = super().from_pretrained(pretrained_model_name_or_path, *inputs, **kwargs)
        if num_special_tokens is not None:
            predict = model.config.predict_special_tokens
            model.set_num_special_tokens(num_special_tokens)
            if isinstance(model, GPTModelWithTrunk):
                model._predict_special_tokens(predict)
        return model


class GPTCppModel(GPTPreTrainedModel, HasSelfAttentions):
    """A whole model that C++ computes."""

    def __init__(
        self, config: Any, output_attentions: bool = False, keep_multihead_output: bool = False
    ) -> None:
        super().__init__(config)
        for replacement in self._adopt_new().replacements:
            replacement.apply(self.init_weights)
        prune_as_configured(getattr(self, "transformer", self))
        self.output_attentions = output_attentions
        self.keep_multihead_output = keep_multihead_output

    def _new_cpp(self) -> Any:
        return self._cpp_type(cpp_config(self.config))


class GPTTrunk(GPTCppModel):
    """A model without a head."""

    _embeddings: ClassVar[str]  # the name of the token embeddings

    h: nn.ModuleList

    def set_num_special_tokens(self, num_special_tokens: int) -> None:
        """Changes the number of special tokens, here and in the configuration.

        Their embeddings are drawn anew; those of the vocabulary stay. The parameter is replaced:
        create the optimizer afterwards. Does nothing if the number is the same.

        Raises:
            ValueError: The number is negative.
        """
        if num_special_tokens < 0:
            raise ValueError(
                f"`num_special_tokens` must be at least 0, but is {num_special_tokens}."
            )
        config = self.config
        if num_special_tokens == config.n_special:
            return
        config.n_special = num_special_tokens
        rows = config.total_tokens_embeddings
        old: Any = getattr(self, self._embeddings)
        weight = _C.resized_embedding(old.weight, config.vocab_size, rows, config.initializer_range)
        parameter = nn.Parameter(weight.detach(), weight.requires_grad)
        setattr(self, self._embeddings, nn.Embedding(rows, weight.size(1), _weight=parameter))

    def prune_heads(self, heads_to_prune: Mapping[int, Iterable[int]]) -> None:
        """Removes attention heads permanently; outputs are the same as with the heads masked.

        `config.pruned_heads` notes them by their first numbers, so that a saved model loads again.
        Parameters are replaced: create the optimizer afterwards. Once blocks have different numbers
        of heads, no `head_mask` fits all of them.

        Args:
            heads_to_prune: For each block (-1 is the last) the indices of heads to remove, counting
                present heads only.

        Raises:
            TypeError: A layer of an attention was replaced by something else, or heads are not
                ints.
            ValueError: A block or head does not exist, or a block would have no head left.
        """
        self._prune(heads_to_prune, "heads_to_prune")

    def _prune(self, heads: Mapping[int, Iterable[int]], argument: str) -> None:
        blocks: Any = self.h
        attentions = [block.attn for block in blocks]
        prune_layers(
            prune_fused_heads, attentions, heads, self.config, self.config.n_head, argument
        )

    def get_multihead_outputs(self) -> list[Any]:
        """Returns the outputs of the heads of each block in the last forward pass before they were
        merged, [batch, heads, seq, head size] each; None without `keep_multihead_output`."""
        blocks: Any = self.h
        return [block.attn.multihead_output for block in blocks]


class GPTModelWithTrunk(GPTCppModel):
    """A trunk with a language-model head."""

    transformer: Any
    lm_head: Any

    def set_num_special_tokens(
        self, num_special_tokens: int, predict_special_tokens: bool = True
    ) -> None:
        """Changes the number of special tokens, here and in the configuration.

        Their embeddings are drawn anew; those of the vocabulary stay, and the language-model head
        is tied again. The parameter is replaced: create the optimizer afterwards.

        Args:
            num_special_tokens: The new number.
            predict_special_tokens: Whether the language-model head scores them, too.

        Raises:
            ValueError: The number is negative.
        """
        self.transformer.set_num_special_tokens(num_special_tokens)
        self._predict_special_tokens(predict_special_tokens)

    def set_tied(self) -> None:
        """Ties the language-model head to the token embeddings."""
        self._predict_special_tokens(self.lm_head.predict_special_tokens)

    def _predict_special_tokens(self, predict: bool) -> None:
        for config in (self.config, self.transformer.config):
            config.predict_special_tokens = predict
        embeddings = getattr(self.transformer, self.transformer._embeddings)
        self.lm_head.set_embeddings_weights(embeddings.weight, predict)
