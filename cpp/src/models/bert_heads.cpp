#include "ptbert/models/bert_heads.h"

#include <torch/csrc/jit/frontend/tracer.h>

#include "checks.h"
#include "losses.h"
#include "ptbert/speed/fast_paths.h"
#include "speed/readable_values.h"

namespace ptbert {
namespace {

/// Checks labels of sequences, if there are any: `labels` in [0, classes) or equal to `ignored`.
void check_sequence_classes(const char* name, const Tensor& labels, const Tensor& input_ids,
                            int64_t classes, int64_t ignored) {
  if (!labels.defined())
    return;
  check_sequence_labels(name, labels, input_ids.sym_size(0));
  check_classes(name, labels, classes, ignored);
}

/// Mean cross-entropy of `logits` [batch, seq] at `positions` [batch]. Answers outside of the text
/// window have positions >= seq and are ignored.
Tensor position_loss(const Tensor& logits, const Tensor& positions) {
  const auto wanted = positions.reshape({-1}).clamp_min(0); // [batch] or [batch, 1] -> [batch]
  if (!torch::jit::tracer::isTracing()) {
    const auto ignored = logits.sym_size(1);
    return cross_entropy(logits, wanted.clamp_max(ignored), ignored);
  }
  // The same for a traced graph, which must not keep the length of the traced example.
  const auto counted = wanted.lt(torch::ones_like(logits, torch::kLong).sum(1)); // [batch]
  const auto positions_inside = wanted.masked_fill(counted.logical_not(), 0);
  const auto losses = -torch::log_softmax(logits, 1)
                           .gather(1, positions_inside.unsqueeze(1))
                           .squeeze(1); // [batch, seq] -> [batch]
  return (losses * counted).sum() / counted.sum();
}

Tensor last_layer(const BertModelOutput& output) { return output.encoded_layers.back(); }

Tensor masked_lm_loss(const Tensor& scores, const Tensor& labels) {
  check_classes("masked_lm_labels", labels, scores.sym_size(-1), kIgnoredToken);
  return cross_entropy(scores, labels, kIgnoredToken);
}

/// The tokens that a head scores: all, [batch, seq], or those with a label that counts, [count].
struct TokensToScore {
  Tensor hidden_states; // [batch, seq, hidden] or [count, hidden]
  Tensor labels;        // [batch, seq] or [count]
  Tensor pooled_output;
  std::vector<Tensor> attentions;
};

/// Runs the trunk for the tokens whose label is not `ignored`. For all tokens if `labels` is
/// undefined, there are no such tokens, user code can see what the head is given, or the fast path
/// cannot be taken.
TokensToScore run_at_labels(BertModel& bert, const Tensor& input_ids, const Tensor& token_type_ids,
                            const Tensor& attention_mask, const Tensor& head_mask,
                            const Tensor& labels, int64_t ignored, bool head_exposes_internals,
                            bool with_pooled_output) {
  if (labels.defined() && !head_exposes_internals && fast_paths_enabled() &&
      has_readable_values(labels)) {
    const auto flat = labels.flatten();                           // [batch, seq] -> [batch * seq]
    const auto positions = flat.ne(ignored).nonzero().squeeze(1); // [batch * seq] -> [count]
    if (positions.size(0) > 0) {
      const auto trunk = bert->forward_at_positions(input_ids, token_type_ids, attention_mask,
                                                    head_mask, positions, with_pooled_output);
      if (trunk)
        return {trunk->hidden_states, flat.index_select(0, positions), trunk->pooled_output, {}};
    }
  }
  const auto trunk = bert(input_ids, token_type_ids, attention_mask, false, head_mask);
  return {last_layer(trunk), labels, trunk.pooled_output, trunk.attentions};
}

} // namespace

BertPredictionHeadTransformImpl::BertPredictionHeadTransformImpl(const BertConfig& config)
    : config(config) {
  dense = register_module("dense", Linear(config.hidden_size, config.hidden_size));
  transform_act_fn = activation(config.hidden_act, "hidden_act", gelu);
  own_attribute("transform_act_fn", transform_act_fn);
  layer_norm =
      register_module("LayerNorm", BertLayerNorm(config.hidden_size, config.layer_norm_eps));
}

Tensor BertPredictionHeadTransformImpl::forward(const Tensor& hidden_states) {
  return layer_norm(transform_act_fn(dense(hidden_states)));
}

BertLMPredictionHeadImpl::BertLMPredictionHeadImpl(const BertConfig& config,
                                                   const Tensor& embedding_weights)
    : config(config) {
  transform = register_module("transform", BertPredictionHeadTransform(config));
  decoder = register_module("decoder", Linear(embedding_weights.size(1), embedding_weights.size(0),
                                              /*with_bias=*/false));
  decoder->bind("weight", embedding_weights);
  own_parameter("bias", bias, torch::zeros(embedding_weights.size(0), decoder->weight.options()));
}

Tensor BertLMPredictionHeadImpl::forward(const Tensor& hidden_states) {
  return decoder(transform(hidden_states)) + bias;
}

BertOnlyMLMHeadImpl::BertOnlyMLMHeadImpl(const BertConfig& config, const Tensor& embedding_weights)
    : config(config) {
  predictions = register_module("predictions", BertLMPredictionHead(config, embedding_weights));
}

Tensor BertOnlyMLMHeadImpl::forward(const Tensor& sequence_output) {
  return predictions(sequence_output);
}

BertOnlyNSPHeadImpl::BertOnlyNSPHeadImpl(const BertConfig& config) : config(config) {
  seq_relationship = register_module("seq_relationship", Linear(config.hidden_size, 2));
}

Tensor BertOnlyNSPHeadImpl::forward(const Tensor& pooled_output) {
  return seq_relationship(pooled_output);
}

BertPreTrainingHeadsImpl::BertPreTrainingHeadsImpl(const BertConfig& config,
                                                   const Tensor& embedding_weights)
    : config(config) {
  predictions = register_module("predictions", BertLMPredictionHead(config, embedding_weights));
  seq_relationship = register_module("seq_relationship", Linear(config.hidden_size, 2));
}

BertPreTrainingScores BertPreTrainingHeadsImpl::forward(const Tensor& sequence_output,
                                                        const Tensor& pooled_output) {
  return {predictions(sequence_output), seq_relationship(pooled_output)};
}

BertForPreTrainingImpl::BertForPreTrainingImpl(const BertConfig& config, AttentionOptions options)
    : config(config) {
  bert = register_module("bert", BertModel(config, options));
  cls = register_module("cls",
                        BertPreTrainingHeads(config, bert->embeddings->word_embeddings->weight));
  init_bert_weights(*this, config.initializer_range);
}

BertForPreTrainingOutput
BertForPreTrainingImpl::forward(const Tensor& input_ids, const Tensor& token_type_ids,
                                const Tensor& attention_mask, const Tensor& masked_lm_labels,
                                const Tensor& next_sentence_label, const Tensor& head_mask) {
  check_ids("input_ids", input_ids);
  if (masked_lm_labels.defined())
    check_token_labels("masked_lm_labels", masked_lm_labels, input_ids);
  check_sequence_classes("next_sentence_label", next_sentence_label, input_ids, 2, kIgnoredToken);
  const bool has_loss = masked_lm_labels.defined() && next_sentence_label.defined();
  const auto tokens = run_at_labels(bert, input_ids, token_type_ids, attention_mask, head_mask,
                                    has_loss ? masked_lm_labels : Tensor(), kIgnoredToken,
                                    cls->exposes_internals(), /*with_pooled_output=*/true);
  const auto scores = cls(tokens.hidden_states, tokens.pooled_output);
  BertForPreTrainingOutput output;
  output.attentions = tokens.attentions;
  if (has_loss)
    output.loss = masked_lm_loss(scores.prediction_scores, tokens.labels) +
                  cross_entropy(scores.seq_relationship_score, next_sentence_label, kIgnoredToken);
  else
    output.scores = scores;
  return output;
}

BertForMaskedLMImpl::BertForMaskedLMImpl(const BertConfig& config, AttentionOptions options)
    : config(config) {
  bert = register_module("bert", BertModel(config, options));
  cls = register_module("cls", BertOnlyMLMHead(config, bert->embeddings->word_embeddings->weight));
  init_bert_weights(*this, config.initializer_range);
}

BertHeadOutput BertForMaskedLMImpl::forward(const Tensor& input_ids, const Tensor& token_type_ids,
                                            const Tensor& attention_mask,
                                            const Tensor& masked_lm_labels,
                                            const Tensor& head_mask) {
  check_ids("input_ids", input_ids);
  if (masked_lm_labels.defined())
    check_token_labels("masked_lm_labels", masked_lm_labels, input_ids);
  const auto tokens = run_at_labels(bert, input_ids, token_type_ids, attention_mask, head_mask,
                                    masked_lm_labels, kIgnoredToken, cls->exposes_internals(),
                                    /*with_pooled_output=*/false);
  const auto scores = cls(tokens.hidden_states);
  BertHeadOutput output;
  output.attentions = tokens.attentions;
  if (masked_lm_labels.defined())
    output.loss = masked_lm_loss(scores, tokens.labels);
  else
    output.logits = scores;
  return output;
}

BertForNextSentencePredictionImpl::BertForNextSentencePredictionImpl(const BertConfig& config,
                                                                     AttentionOptions options)
    : config(config) {
  bert = register_module("bert", BertModel(config, options));
  cls = register_module("cls", BertOnlyNSPHead(config));
  init_bert_weights(*this, config.initializer_range);
}

BertHeadOutput BertForNextSentencePredictionImpl::forward(const Tensor& input_ids,
                                                          const Tensor& token_type_ids,
                                                          const Tensor& attention_mask,
                                                          const Tensor& next_sentence_label,
                                                          const Tensor& head_mask) {
  check_ids("input_ids", input_ids);
  check_sequence_classes("next_sentence_label", next_sentence_label, input_ids, 2, kIgnoredToken);
  const auto [pooled_output, attentions] =
      bert->forward_pooled(input_ids, token_type_ids, attention_mask, head_mask);
  BertHeadOutput output;
  output.logits = cls(pooled_output);
  output.attentions = attentions;
  if (next_sentence_label.defined())
    output.loss = cross_entropy(output.logits, next_sentence_label, kIgnoredToken);
  return output;
}

BertForSequenceClassificationImpl::BertForSequenceClassificationImpl(const BertConfig& config,
                                                                     int64_t num_labels,
                                                                     AttentionOptions options)
    : config(config), num_labels(num_labels) {
  check_count("num_labels", num_labels);
  own_attribute("num_labels", this->num_labels);
  bert = register_module("bert", BertModel(config, options));
  dropout = register_module("dropout", Dropout(config.hidden_dropout_prob));
  classifier = register_module("classifier", Linear(config.hidden_size, num_labels));
  init_bert_weights(*this, config.initializer_range);
}

BertHeadOutput BertForSequenceClassificationImpl::forward(const Tensor& input_ids,
                                                          const Tensor& token_type_ids,
                                                          const Tensor& attention_mask,
                                                          const Tensor& labels,
                                                          const Tensor& head_mask) {
  check_ids("input_ids", input_ids);
  check_sequence_classes("labels", labels, input_ids, num_labels, kIgnoredClass);
  const auto [pooled_output, attentions] =
      bert->forward_pooled(input_ids, token_type_ids, attention_mask, head_mask);
  BertHeadOutput output;
  output.logits = classifier(dropout(pooled_output));
  output.attentions = attentions;
  if (labels.defined()) {
    check_scores("classifier", output.logits, num_labels);
    output.loss = cross_entropy(output.logits, labels, kIgnoredClass);
  }
  return output;
}

BertForMultipleChoiceImpl::BertForMultipleChoiceImpl(const BertConfig& config, int64_t num_choices,
                                                     AttentionOptions options)
    : config(config), num_choices(num_choices) {
  check_count("num_choices", num_choices);
  own_attribute("num_choices", this->num_choices);
  bert = register_module("bert", BertModel(config, options));
  dropout = register_module("dropout", Dropout(config.hidden_dropout_prob));
  classifier = register_module("classifier", Linear(config.hidden_size, 1));
  init_bert_weights(*this, config.initializer_range);
}

BertHeadOutput BertForMultipleChoiceImpl::forward(const Tensor& input_ids,
                                                  const Tensor& token_type_ids,
                                                  const Tensor& attention_mask,
                                                  const Tensor& labels, const Tensor& head_mask) {
  check_choices(input_ids, num_choices);
  if (token_type_ids.defined())
    check_shape_of_input_ids("token_type_ids", token_type_ids, input_ids);
  if (attention_mask.defined())
    check_mask(attention_mask, input_ids);
  check_sequence_classes("labels", labels, input_ids, num_choices, kIgnoredClass);
  const auto flat = [](const Tensor& x) { // [batch, choices, seq] -> [batch * choices, seq]
    return x.defined() ? x.flatten(0, 1) : x;
  };
  const auto [pooled_output, attentions] =
      bert->forward_pooled(flat(input_ids), flat(token_type_ids), flat(attention_mask), head_mask);
  BertHeadOutput output;
  const auto scores = classifier(dropout(pooled_output));
  check_scores("classifier", scores, 1);
  output.logits = scores.view({-1, num_choices}); // [batch * choices, 1] -> [batch, choices]
  output.attentions = attentions;
  if (labels.defined())
    output.loss = cross_entropy(output.logits, labels, kIgnoredClass);
  return output;
}

BertForTokenClassificationImpl::BertForTokenClassificationImpl(const BertConfig& config,
                                                               int64_t num_labels,
                                                               AttentionOptions options)
    : config(config), num_labels(num_labels) {
  check_count("num_labels", num_labels);
  own_attribute("num_labels", this->num_labels);
  bert = register_module("bert", BertModel(config, options));
  dropout = register_module("dropout", Dropout(config.hidden_dropout_prob));
  classifier = register_module("classifier", Linear(config.hidden_size, num_labels));
  init_bert_weights(*this, config.initializer_range);
}

BertHeadOutput BertForTokenClassificationImpl::forward(const Tensor& input_ids,
                                                       const Tensor& token_type_ids,
                                                       const Tensor& attention_mask,
                                                       const Tensor& labels,
                                                       const Tensor& head_mask) {
  check_ids("input_ids", input_ids);
  if (attention_mask.defined())
    check_mask(attention_mask, input_ids);
  Tensor targets;
  if (labels.defined()) {
    check_token_labels("labels", labels, input_ids);
    // Masked positions get the ignored label, so that no shape depends on the mask's values.
    targets =
        attention_mask.defined() ? labels.masked_fill(attention_mask.ne(1), kIgnoredClass) : labels;
    check_classes("labels", targets, num_labels, kIgnoredClass);
  }
  const auto tokens =
      run_at_labels(bert, input_ids, token_type_ids, attention_mask, head_mask, targets,
                    kIgnoredClass, dropout->exposes_internals() || classifier->exposes_internals(),
                    /*with_pooled_output=*/false);
  const auto logits = classifier(dropout(tokens.hidden_states));
  BertHeadOutput output;
  output.attentions = tokens.attentions;
  if (targets.defined()) {
    check_scores("classifier", logits, num_labels);
    output.loss = cross_entropy(logits, tokens.labels, kIgnoredClass);
  } else {
    output.logits = logits;
  }
  return output;
}

BertForQuestionAnsweringImpl::BertForQuestionAnsweringImpl(const BertConfig& config,
                                                           AttentionOptions options)
    : config(config) {
  bert = register_module("bert", BertModel(config, options));
  qa_outputs = register_module("qa_outputs", Linear(config.hidden_size, 2));
  init_bert_weights(*this, config.initializer_range);
}

BertForQuestionAnsweringOutput
BertForQuestionAnsweringImpl::forward(const Tensor& input_ids, const Tensor& token_type_ids,
                                      const Tensor& attention_mask, const Tensor& start_positions,
                                      const Tensor& end_positions, const Tensor& head_mask) {
  check_ids("input_ids", input_ids);
  const auto batch = input_ids.sym_size(0);
  if (start_positions.defined())
    check_sequence_labels("start_positions", start_positions, batch);
  if (end_positions.defined())
    check_sequence_labels("end_positions", end_positions, batch);
  const auto trunk = bert(input_ids, token_type_ids, attention_mask, false, head_mask);
  const auto logits = qa_outputs(last_layer(trunk)); // [batch, seq, 2]
  check_scores("qa_outputs", logits, 2);
  BertForQuestionAnsweringOutput output;
  output.attentions = trunk.attentions;
  output.start_logits = logits.select(-1, 0); // [batch, seq, 2] -> [batch, seq]
  output.end_logits = logits.select(-1, 1);   // likewise
  if (start_positions.defined() && end_positions.defined()) {
    output.loss = (position_loss(output.start_logits, start_positions) +
                   position_loss(output.end_logits, end_positions)) /
                  2;
  }
  return output;
}

} // namespace ptbert
