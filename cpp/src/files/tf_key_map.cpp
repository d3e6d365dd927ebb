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

/// A layer in TensorFlow and in our models. When reading, `scope` may be any other; of several
/// variables for one weight the first is written.
struct Layer {
  std::string scope, variable, name;
  Parts parts;
  std::string unless = {}; // as in TfName
};

const Parts kVector = {{"", ""}};
const Parts kMatrix = {{"", "", TfLayout::kTransposed}};
const Parts kTable = {{"", ".weight"}};
const Parts kBiasOfCluster = {{"", ".bias", TfLayout::kPerCluster}};
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
    {"bert/", "embeddings/word_embeddings", "bert.embeddings.word_embeddings", kTable},
    {"bert/", "embeddings/token_type_embeddings", "bert.embeddings.token_type_embeddings", kTable},
    {"bert/", "embeddings/position_embeddings", "bert.embeddings.position_embeddings", kTable},
    {"bert/", "embeddings/LayerNorm", "bert.embeddings.LayerNorm", kNorm},
    {"bert/encoder/", "layer_#/attention/self/query", "bert.encoder.layer.#.attention.self.query",
     kDense},
    {"bert/encoder/", "layer_#/attention/self/key", "bert.encoder.layer.#.attention.self.key",
     kDense},
    {"bert/encoder/", "layer_#/attention/self/value", "bert.encoder.layer.#.attention.self.value",
     kDense},
    {"bert/encoder/", "layer_#/attention/output/dense",
     "bert.encoder.layer.#.attention.output.dense", kDense},
    {"bert/encoder/", "layer_#/attention/output/LayerNorm",
     "bert.encoder.layer.#.attention.output.LayerNorm", kNorm},
    {"bert/encoder/", "layer_#/intermediate/dense", "bert.encoder.layer.#.intermediate.dense",
     kDense},
    {"bert/encoder/", "layer_#/output/dense", "bert.encoder.layer.#.output.dense", kDense},
    {"bert/encoder/", "layer_#/output/LayerNorm", "bert.encoder.layer.#.output.LayerNorm", kNorm},
    {"bert/", "pooler/dense", "bert.pooler.dense", kDense},
    {"", "cls/predictions/transform/dense", "cls.predictions.transform.dense", kDense},
    {"", "cls/predictions/transform/LayerNorm", "cls.predictions.transform.LayerNorm", kNorm},
    {"", "cls/predictions/output_bias", "cls.predictions.bias", kVector},
    {"", "cls/seq_relationship/", "cls.seq_relationship", kOutput},
    {"", "cls/squad/", "qa_outputs", kOutput}, // of run_squad.py
    {"", "", "classifier", kOutput},           // of run_classifier.py
    {"", "classifier", "classifier", kDense},
};

const std::vector<Layer> kGPT2 = {
    {"model/", "wte", "transformer.wte", kTable},
    {"model/", "wpe", "transformer.wpe", kTable},
    {"model/", "h#/ln_1", "transformer.h.#.ln_1", kNormOfOpenAI},
    {"model/", "h#/attn/c_attn", "transformer.h.#.attn.c_attn", kConvOfWidthOne},
    {"model/", "h#/attn/c_proj", "transformer.h.#.attn.c_proj", kConvOfWidthOne},
    {"model/", "h#/ln_2", "transformer.h.#.ln_2", kNormOfOpenAI},
    {"model/", "h#/mlp/c_fc", "transformer.h.#.mlp.c_fc", kConvOfWidthOne},
    {"model/", "h#/mlp/c_proj", "transformer.h.#.mlp.c_proj", kConvOfWidthOne},
    {"model/", "ln_f", "transformer.ln_f", kNormOfOpenAI},
};

/// Checkpoints of OpenAI's training code; the published weights are a folder of NumPy files.
const std::vector<Layer> kOpenAIGPT = {
    {"model/", "we", "transformer.tokens_embed", kTable},
    {"model/", "h#/attn/c_attn", "transformer.h.#.attn.c_attn", kConvOfWidthOne},
    {"model/", "h#/attn/c_proj", "transformer.h.#.attn.c_proj", kConvOfWidthOne},
    {"model/", "h#/ln_1", "transformer.h.#.ln_1", kNormOfOpenAI},
    {"model/", "h#/mlp/c_fc", "transformer.h.#.mlp.c_fc", kConvOfWidthOne},
    {"model/", "h#/mlp/c_proj", "transformer.h.#.mlp.c_proj", kConvOfWidthOne},
    {"model/", "h#/ln_2", "transformer.h.#.ln_2", kNormOfOpenAI},
};

/// Of a Transformer-XL with several tables of embeddings, and with several clusters.
const std::string kSecondTable = "transformer.word_emb.emb_layers.1.weight";
const std::string kClusters = "crit.cluster_weight";

const std::vector<Layer> kTransfoXL = {
    {"transformer/", "adaptive_embed/lookup_table", "transformer.word_emb.emb_layers.0", kTable,
     kSecondTable},
    {"transformer/", "adaptive_embed/proj_W", "transformer.word_emb.emb_projs.0", kMatrix,
     kSecondTable},
    {"transformer/", "adaptive_embed/cutoff_#/lookup_table", "transformer.word_emb.emb_layers.#",
     kTable},
    {"transformer/", "adaptive_embed/cutoff_#/proj_W", "transformer.word_emb.emb_projs.#", kMatrix},
    {"transformer/", "adaptive_softmax/bias", "crit.out_layers.0.bias", kVector, kClusters},
    {"transformer/", "adaptive_softmax/lookup_table", "crit.out_layers.0.weight", kVector,
     kClusters},
    {"transformer/", "adaptive_softmax/proj", "crit.out_projs.0", kMatrix, kClusters},
    {"transformer/", "adaptive_softmax/cutoff_#/b", "crit.out_layers.#", kBiasOfCluster},
    {"transformer/", "adaptive_softmax/cutoff_#/lookup_table", "crit.out_layers.#.weight", kVector},
    {"transformer/", "adaptive_softmax/cutoff_#/proj", "crit.out_projs.#", kMatrix},
    {"transformer/", "adaptive_softmax/cutoff_0/cluster_W", "crit.cluster_weight", kVector},
    {"transformer/", "adaptive_softmax/cutoff_0/cluster_b", "crit.cluster_bias", kVector},
    {"transformer/", "layer_#/rel_attn/qkv", "transformer.layers.#.dec_attn.qkv_net", kDense},
    {"transformer/", "layer_#/rel_attn/r", "transformer.layers.#.dec_attn.r_net", kDense},
    {"transformer/", "layer_#/rel_attn/o", "transformer.layers.#.dec_attn.o_net", kDense},
    {"transformer/", "layer_#/rel_attn/LayerNorm", "transformer.layers.#.dec_attn.layer_norm",
     kNorm},
    {"transformer/", "layer_#/ff/layer_1", "transformer.layers.#.pos_ff.CoreNet.0", kDense},
    {"transformer/", "layer_#/ff/layer_2", "transformer.layers.#.pos_ff.CoreNet.3", kDense},
    {"transformer/", "layer_#/ff/LayerNorm", "transformer.layers.#.pos_ff.layer_norm", kNorm},
    // [heads, size of a head], or with a dimension of layers before it if they are not tied.
    {"transformer/", "r_w_bias", "transformer.r_w_bias", kVector},
    {"transformer/", "r_r_bias", "transformer.r_r_bias", kVector},
    {"transformer/",
     "r_w_bias",
     "transformer.layers.#.dec_attn.r_w_bias",
     {{"", "", TfLayout::kPerLayer}}},
    {"transformer/",
     "r_r_bias",
     "transformer.layers.#.dec_attn.r_r_bias",
     {{"", "", TfLayout::kPerLayer}}},
};

TfKeyMap key_map_of(const std::vector<Layer>& layers) {
  TfKeyMap keys;
  for (const auto& layer : layers) {
    for (const auto& part : layer.parts) {
      const auto end = layer.variable + part.variable, name = layer.name + part.name;
      keys.weights[end] = {name, part.layout};
      keys.variables.try_emplace(name, TfName{layer.scope + end, part.layout, layer.unless});
    }
  }
  return keys;
}

} // namespace

const std::map<std::string, TfKeyMap>& tf_key_maps() {
  static const std::map<std::string, TfKeyMap> key_maps = {
      {"bert", key_map_of(kBert)},
      {"gpt2", key_map_of(kGPT2)},
      {"openai-gpt", key_map_of(kOpenAIGPT)},
      {"transfo-xl", key_map_of(kTransfoXL)},
  };
  return key_maps;
}

const TfKeyMap& tf_key_map(const std::string& family) {
  const auto found = tf_key_maps().find(family);
  if (found == tf_key_maps().end())
    throw KeyError("`family` must be that of a model, such as \"bert\", but is \"" + family +
                   "\".");
  return found->second;
}

} // namespace ptbert
