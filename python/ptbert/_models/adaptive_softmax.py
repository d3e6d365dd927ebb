"""Transformer-XL's outputs over a large vocabulary: the adaptive and the sampled softmax."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .. import _C
from .bridge import register_nodes, run
from .clustered import Clustered


class ProjectedAdaptiveLogSoftmax(Clustered):
    """Log-probabilities over clusters of ever rarer tokens with ever shorter vectors: a head scores
    the tokens of the first cluster and the other clusters, a tail the tokens of its cluster. Grave
    et al., 2016 (https://arxiv.org/abs/1609.04309).

    Args:
        n_token: Number of tokens, the most frequent first.
        d_embed: Width of the vectors of the first cluster.
        d_proj: Width of the hidden states.
        cutoffs: The first id of every cluster but the first; none for a plain softmax.
        div_val: Each cluster's vectors are shorter than those of the one before by this factor; 1
            means one table for all ids.
        keep_order: Kept for code of 2019. Losses are always in the order of the targets.

    Raises:
        ValueError: `cutoffs` do not increase within the vocabulary, or the vectors of the last
            cluster would have width 0.

    Example:
        >>> softmax = ProjectedAdaptiveLogSoftmax(10, 8, 8, [4], div_val=2)
        >>> hidden, target = torch.ones(3, 8), torch.tensor([9, 0, 1])
        >>> softmax(hidden).shape, softmax(hidden, target).shape
        (torch.Size([3, 10]), torch.Size([3]))
    """

    _cpp_type = _C.ProjectedAdaptiveLogSoftmax

    out_layers: nn.ModuleList
    out_projs: nn.ParameterList

    def __init__(
        self,
        n_token: int,
        d_embed: int,
        d_proj: int,
        cutoffs: Sequence[int],
        div_val: int = 1,
        keep_order: bool = False,
    ) -> None:
        super().__init__()
        self._set_sizes(n_token, d_embed, d_proj, cutoffs, div_val)
        self.keep_order = keep_order
        self._adopt_new()

    def _set_sizes(
        self, n_token: int, d_embed: int, d_proj: int, cutoffs: Sequence[int], div_val: int
    ) -> None:
        super()._set_sizes(n_token, d_embed, d_proj, cutoffs, div_val)
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.keep_order = False

    def forward(
        self, hidden: Tensor, target: Tensor | None = None, keep_order: bool = False
    ) -> Tensor:
        """Returns the log-probabilities of all tokens, or the negative log-likelihood of `target`:
        [count, d_proj], ids [count] -> [count, n_token], or [count].

        Args:
            keep_order: As in the constructor.

        Raises:
            RuntimeError: There is not one target for each row of `hidden`.
            IndexError: A target is out of range.
        """
        return run(self, hidden, target)

    def log_prob(self, hidden: Tensor) -> Tensor:
        """Returns the log-probabilities of all tokens: [count, d_proj] -> [count, n_token]"""
        return run(self, hidden, None)


class LogUniformSampler(_C.LogUniformSampler):
    """Draws ids, the lower ones more often: P(id) = log((id + 2) / (id + 1)) / log(range_max + 1).

    Args:
        range_max: Ids are in [0, range_max).
        n_sample: Half the number of draws.

    Raises:
        ValueError: One of them is below 1.

    Example:
        >>> true_log_probs, samp_log_probs, ids = LogUniformSampler(99, 5).sample(torch.tensor([3]))
        >>> true_log_probs.shape, samp_log_probs.shape == ids.shape, ids.numel() <= 10
        (torch.Size([1]), True, True)
    """

    def __init__(self, range_max: int, n_sample: int) -> None:
        super().__init__(range_max, n_sample)
        self.range_max = range_max
        self.n_sample = n_sample

    def sample(self, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the logarithms of how often the labels and the samples are expected, and the
        samples: different ids, at most 2 * `n_sample`. ids [*] -> [*], [samples], [samples]"""
        return super().sample(labels)

    def __reduce__(self) -> tuple[type[LogUniformSampler], tuple[int, int]]:
        return type(self), (self.range_max, self.n_sample)


def sample_logits(
    embedding: Callable[[Tensor], Tensor],
    bias: Tensor,
    labels: Tensor,
    inputs: Tensor,
    sampler: LogUniformSampler,
) -> Tensor:
    """Returns the scores of each label, first, and of samples, less the logarithm of how often they
    are drawn; their softmax is the sampled softmax. Jean et al., 2014
    (https://arxiv.org/abs/1412.2007).

    Args:
        embedding: Gives the vectors of ids, such as an `nn.Embedding`.
        bias: [n_token].
        labels: [batch, seq].
        inputs: [batch, seq, width].
        sampler: Draws the samples.

    Returns:
        [batch, seq, 1 + samples]; a sample that is the label has the score -1e30.

    Example:
        >>> labels, inputs = torch.tensor([[1, 2]]), torch.ones(1, 2, 8)
        >>> sampler = LogUniformSampler(99, 5)
        >>> sample_logits(nn.Embedding(99, 8), torch.zeros(99), labels, inputs, sampler).shape[:2]
        torch.Size([1, 2])
    """
    true_log_probs, samp_log_probs, neg_samples = sampler.sample(labels)
    vectors = embedding(torch.cat([labels.flatten(), neg_samples]))
    return _C.sample_logits(
        vectors, bias, labels, inputs, true_log_probs, samp_log_probs, neg_samples
    )


register_nodes(ProjectedAdaptiveLogSoftmax, home="ptbert.modeling_transfo_xl")
