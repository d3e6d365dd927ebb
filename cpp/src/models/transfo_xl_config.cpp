#include "ptbert/models/transfo_xl_config.h"

#include "checks.h"
#include "config_json.h"

namespace ptbert {
namespace {

constexpr auto for_each_field = [](auto& config, auto visit) {
  visit("n_token", config.n_token);
  visit("cutoffs", config.cutoffs);
  visit("d_model", config.d_model);
  visit("d_embed", config.d_embed);
  visit("n_head", config.n_head);
  visit("d_head", config.d_head);
  visit("d_inner", config.d_inner);
  visit("div_val", config.div_val);
  visit("pre_lnorm", config.pre_lnorm);
  visit("n_layer", config.n_layer);
  visit("tgt_len", config.tgt_len);
  visit("ext_len", config.ext_len);
  visit("mem_len", config.mem_len);
  visit("clamp_len", config.clamp_len);
  visit("same_length", config.same_length);
  visit("tie_projs", config.tie_projs);
  visit("attn_type", config.attn_type);
  visit("sample_softmax", config.sample_softmax);
  visit("adaptive", config.adaptive);
  visit("tie_weight", config.tie_weight);
  visit("dropout", config.dropout);
  visit("dropatt", config.dropatt);
  visit("untie_r", config.untie_r);
  visit("init", config.init);
  visit("init_range", config.init_range);
  visit("proj_init_std", config.proj_init_std);
  visit("init_std", config.init_std);
  visit("layer_norm_epsilon", config.layer_norm_epsilon);
};

} // namespace

TransfoXLConfig TransfoXLConfig::from_json(const std::string& text) {
  auto config = config_from_json(text, for_each_field, TransfoXLConfig());
  const auto object = nlohmann::json::parse(text);
  if (!object.contains("n_token") && object.contains("vocab_size")) {
    const auto& size = object["vocab_size"];
    if (const auto [fits, rule] = rule_of(config.n_token, size); !fits)
      throw FormatError(std::string("`vocab_size` must be ") + rule + ", but is " + size.dump() +
                        ".");
    size.get_to(config.n_token);
  }
  if (!object.contains("tie_projs")) {
    const bool shared = object.value("proj_share_all_but_first", nlohmann::json(true)) != false;
    config.tie_projs.assign(config.cutoffs.size() + 1, shared);
    config.tie_projs.front() = false;
  }
  return config;
}

TransfoXLConfig TransfoXLConfig::from_json_file(const std::string& path) {
  return config_from_json_file<TransfoXLConfig>(path);
}

std::string TransfoXLConfig::to_json() const { return config_to_json(*this, for_each_field); }

void TransfoXLConfig::check() const {
  check_count("n_token", n_token);
  check_cutoffs(cutoffs, n_token);
  check_count("d_model", d_model);
  check_count("d_embed", d_embed);
  check_count("n_head", n_head);
  check_count("d_head", d_head);
  check_count("d_inner", d_inner);
  check_count("div_val", div_val);
  check_count("n_layer", n_layer);
  check_lengths(tgt_len, ext_len, mem_len);
  TORCH_CHECK_VALUE(d_model % 2 == 0, "`d_model` must be even, but is ", d_model, ".");
  TORCH_CHECK_VALUE(attn_type >= 0 && attn_type <= 3, "`attn_type` must be 0, 1, 2 or 3, but is ",
                    attn_type, ".");
  TORCH_CHECK_VALUE(attn_type != 3 || n_head * d_head == d_model, "With `attn_type` 3 `d_model` (",
                    d_model, ") must be `n_head` (", n_head, ") times `d_head` (", d_head, ").");
  TORCH_CHECK_VALUE(attn_type != 1 || untie_r || n_layer <= n_head,
                    "With `attn_type` 1 and tied biases layer i has row i of `r_w_bias`: `n_layer` "
                    "(",
                    n_layer, ") must be at most `n_head` (", n_head, ").");
  TORCH_CHECK_VALUE(tie_projs.size() <= cutoffs.size() + 1,
                    "`tie_projs` must have at most an entry for each of ", cutoffs.size() + 1,
                    " clusters, but has ", tie_projs.size(), ".");
  TORCH_CHECK_VALUE(sample_softmax <= 0 || (div_val == 1 && d_embed == d_model),
                    "`sample_softmax` (", sample_softmax, ") needs `div_val` 1 and `d_embed` (",
                    d_embed, ") equal to `d_model` (", d_model, "), but `div_val` is ", div_val,
                    ".");
  check_probability("dropout", dropout);
  check_probability("dropatt", dropatt);
  TORCH_CHECK_VALUE(init == "normal" || init == "uniform",
                    "`init` must be \"normal\" or \"uniform\", but is \"", init, "\".");
  for (const auto& [name, value] : {std::pair("init_range", init_range),
                                    {"proj_init_std", proj_init_std},
                                    {"init_std", init_std}})
    TORCH_CHECK_VALUE(value >= 0, "`", name, "` must be at least 0, but is ", value, ".");
  TORCH_CHECK_VALUE(layer_norm_epsilon > 0, "`layer_norm_epsilon` must be above 0, but is ",
                    layer_norm_epsilon, ".");
}

} // namespace ptbert
