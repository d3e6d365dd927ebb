// Prints the perplexity of a text file with a Transformer-XL model, which reads it in segments and
// keeps what it has read in memory.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "ptbert/errors.h"
#include "ptbert/files/transfo_xl_vocabulary.h"
#include "ptbert/models/loading.h"
#include "ptbert/models/transfo_xl_heads.h"

int main(int argc, char** argv) try {
  TORCH_CHECK(argc == 3 || argc == 4, "usage: perplexity FOLDER TEXT_FILE [TOKENS_A_SEGMENT]");
  const std::string folder = argv[1], text = argv[2];
  const auto tokenizer = ptbert::load_transfo_xl_tokenizer(folder);
  const auto config = ptbert::TransfoXLConfig::from_json_file(folder + "/config.json");
  ptbert::TransfoXLLMHeadModel model(config);
  for (const auto& name : ptbert::load_pretrained(*model, folder).missing)
    throw ptbert::FormatError("The checkpoint lacks `" + name +
                              "`: it is no Transformer-XL model.");
  model->eval();

  const torch::NoGradGuard no_grad;
  const auto ids = torch::tensor(tokenizer.encode_file(text)).unsqueeze(0); // [1, tokens]
  const auto count = ids.size(1) - 1; // tokens that have one before them
  TORCH_CHECK(count > 0, "`", text, "` must hold at least two tokens.");
  const auto length = argc == 4 ? std::atoll(argv[3]) : config.tgt_len;
  TORCH_CHECK(length > 0, "`TOKENS_A_SEGMENT` must be at least 1, but is ", argv[argc - 1], ".");
  double total = 0;
  std::vector<torch::Tensor> mems;
  for (int64_t start = 0; start < count; start += length) {
    const auto seq = std::min<int64_t>(length, count - start);
    auto output = model->forward(ids.narrow(1, start, seq), ids.narrow(1, start + 1, seq), mems);
    total += output.softmax_output.sum().item<double>();
    mems = output.new_mems;
  }
  std::printf("%lld tokens, perplexity %.4f\n", static_cast<long long>(count),
              std::exp(total / static_cast<double>(count)));
} catch (const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error); // without its stack of calls
  std::fprintf(stderr, "%s\n", torch_error ? torch_error->what_without_backtrace() : error.what());
  return 1;
}
