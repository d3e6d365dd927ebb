#include <vector>

#include "ptbert/errors.h"
#include "ptbert/files/tf_weights.h"

namespace ptbert {
namespace {

/// A variable of a layer, behind the layer's name, in TensorFlow and in our models.
struct Part {
  std::string variable, name;
  TfLayout layout = TfLayout::kSame;
};
using Parts = std::vector<Part>;

/// A layer in TensorFlow and in our models.
struct Layer {
  std::string variable, name;
  Parts parts;
};

const Parts kVector = {{"", ""}};
const Parts kMatrix = {{"", "", TfLayout::kTransposed}};
const Parts kTable = {{"", ".weight"}};
const Parts kNorm = {{"/gamma", ".weight"}, {"/beta", ".bias"}};
/// tf.layers.dense, then tf.contrib.layers.fully_connected, then variables made by hand.
const Parts kDense = {
    {"/kernel", ".weight", TfLayout::kTransposed},  {"/bias", ".bias"},
    {"/weights", ".weight", TfLayout::kTransposed}, {"/biases", ".bias"},
    {"/w", ".weight", TfLayout::kTransposed},       {"/b", ".bias"},
    {"", ".weight", TfLayout::kTransposed},
};
/// A matrix with a row for each output.
const Parts kOutput = {{"output_weights", ".weight"}, {"output_bias", ".bias"}};
const Parts kConvOfWidthOne = {{"/w", ".weight", TfLayout::kWidthOne}, {"/b", ".bias"}};
const Parts kNormOfOpenAI = {{"/g", ".weight"}, {"/b", ".bias"}};

const std::vector<Layer> kBert = {
    {"embeddings/word_embeddings", "bert.embeddings.word_embeddings", kTable},
    {"embeddings/token_type_embeddings", "bert.embeddings.token_type_embeddings", kTable},
    {"embeddings/position_embeddings", "bert.embeddings.position_embeddings", kTable},
    {"embeddings/LayerNorm", "bert.embeddings.LayerNorm", kNorm},
    {"layer_#/attention/self/query", "bert.encoder.layer.#.attention.self.query", kDense},
    {"layer_#/attention/self/key", "bert.encoder.layer.#.attention.self.key", kDense},
    {"layer_#/attention/self/value", "bert.encoder.layer.#.attention.self.value", kDense},
    {"layer_#/attention/output/dense", "bert.encoder.layer.#.attention.output.dense", kDense},
    {"layer_#/attention/output/LayerNorm", "bert.encoder.layer.#.attention.output.LayerNorm",
     kNorm},
    {"layer_#/intermediate/dense", "bert.encoder.layer.#.intermediate.dense", kDense},
    {"layer_#/output/dense", "bert.encoder.layer.#.output.dense", kDense},
    {"layer_#/output/LayerNorm", "bert.encoder.layer.#.output.LayerNorm", kNorm},
    {"pooler/dense", "bert.pooler.dense", kDense},
    {"cls/predictions/transform/dense", "cls.predictions.transform.dense", kDense},
    {"cls/predictions/transform/LayerNorm", "cls.predictions.transform.LayerNorm", kNorm},
    {"cls/predictions/output_bias", "cls.predictions.bias", kVector},
    {"cls/seq_relationship/", "cls.seq_relationship", kOutput},
    {"cls/squad/", "qa_outputs", kOutput}, // of run_squad.py
    {"", "classifier", kOutput},           // of run_classifier.py
    {"classifier", "classifier", kDense},
};

const std::vector<Layer> kGPT2 = {
    {"wte", "transformer.wte", kTable},
    {"wpe", "transformer.wpe", kTable},
    {"h#/ln_1", "transformer.h.#.ln_1", kNormOfOpenAI},
    {"h#/attn/c_attn", "transformer.h.#.attn.c_attn", kConvOfWidthOne},
    {"h#/attn/c_proj", "transformer.h.#.attn.c_proj", kConvOfWidthOne},
    {"h#/ln_2", "transformer.h.#.ln_2", kNormOfOpenAI},
    {"h#/mlp/c_fc", "transformer.h.#.mlp.c_fc", kConvOfWidthOne},
    {"h#/mlp/c_proj", "transformer.h.#.mlp.c_proj", kConvOfWidthOne},
    {"ln_f", "transformer.ln_f", kNormOfOpenAI},
};

/// Checkpoints of OpenAI's training code; the published weights are a folder of NumPy files.
const std::vector<Layer> kOpenAIGPT = {
    {"we", "transformer.tokens_embed", kTable},
    {"h#/attn/c_attn", "transformer.h.#.attn.c_attn", kConvOfWidthOne},
    {"h#/attn/c_proj", "transformer.h.#.attn.c_proj", kConvOfWidthOne},
    {"h#/ln_1", "transformer.h.#.ln_1", kNormOfOpenAI},
    {"h#/mlp/c_fc", "transformer.h.#.mlp.c_fc", kConvOfWidthOne},
    {"h#/mlp/c_proj", "transformer.h.#.mlp.c_proj", kConvOfWidthOne},
    {"h#/ln_2", "transformer.h.#.ln_2", kNormOfOpenAI},
};

const std::vector<Layer> kTransfoXL = {
    {"adaptive_embed/lookup_table", "transformer.word_emb.emb_layers.0", kTable},
    {"adaptive_embed/proj_W", "transformer.word_emb.emb_projs.0", kMatrix},
    {"adaptive_embed/cutoff_#/lookup_table", "transformer.word_emb.emb_layers.#", kTable},
    {"adaptive_embed/cutoff_#/proj_W", "transformer.word_emb.emb_projs.#", kMatrix},
    {"adaptive_softmax/bias", "crit.out_layers.0.bias", kVector},
    {"adaptive_softmax/lookup_table", "crit.out_layers.0.weight", kVector},
    {"adaptive_softmax/proj", "crit.out_projs.0", kMatrix},
    {"adaptive_softmax/cutoff_#/b", "crit.out_layers.#.bias", kVector},
    {"adaptive_softmax/cutoff_#/lookup_table", "crit.out_layers.#.weight", kVector},
    {"adaptive_softmax/cutoff_#/proj", "crit.out_projs.#", kMatrix},
    {"adaptive_softmax/cutoff_#/cluster_W", "crit.cluster_weight", kVector},
    {"adaptive_softmax/cutoff_#/cluster_b", "crit.cluster_bias", kVector},
    {"layer_#/rel_attn/qkv", "transformer.layers.#.dec_attn.qkv_net", kDense},
    {"layer_#/rel_attn/r", "transformer.layers.#.dec_attn.r_net", kDense},
    {"layer_#/rel_attn/o", "transformer.layers.#.dec_attn.o_net", kDense},
    {"layer_#/rel_attn/LayerNorm", "transformer.layers.#.dec_attn.layer_norm", kNorm},
    {"layer_#/ff/layer_1", "transformer.layers.#.pos_ff.CoreNet.0", kDense},
    {"layer_#/ff/layer_2", "transformer.layers.#.pos_ff.CoreNet.3", kDense},
    {"layer_#/ff/LayerNorm", "transformer.layers.#.pos_ff.layer_norm", kNorm},
    // [heads, size of a head], or with a dimension of layers before it if they are not tied.
    {"r_w_bias", "transformer.layers.#.dec_attn.r_w_bias", {{"", "", TfLayout::kPerLayer}}},
    {"r_r_bias", "transformer.layers.#.dec_attn.r_r_bias", {{"", "", TfLayout::kPerLayer}}},
};

TfKeyMap by_variable(const std::vector<Layer>& layers) {
  TfKeyMap keys;
  for (const auto& layer : layers) {
    for (const auto& part : layer.parts)
      keys[layer.variable + part.variable] = {layer.name + part.name, part.layout};
  }
  return keys;
}

} // namespace

const std::map<std::string, TfKeyMap>& tf_key_maps() {
  static const std::map<std::string, TfKeyMap> key_maps = {
      {"bert", by_variable(kBert)},
      {"gpt2", by_variable(kGPT2)},
      {"openai-gpt", by_variable(kOpenAIGPT)},
      {"transfo-xl", by_variable(kTransfoXL)},
  };
  return key_maps;
}

} // namespace ptbert
