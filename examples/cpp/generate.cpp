// Continues a text with a GPT-2 model and prints every token as it is written.
#include <cstdio>
#include <cstdlib>

#include "ptbert/errors.h"
#include "ptbert/generation.h"
#include "ptbert/models/loading.h"
#include "ptbert/text/gpt2_tokenizer.h"

int main(int argc, char** argv) try {
  TORCH_CHECK(argc >= 3 && argc <= 5, "usage: generate FOLDER PROMPT [TOKENS [SEED]]");
  const std::string folder = argv[1], prompt = argv[2];
  const ptbert::GPT2Tokenizer tokenizer(folder + "/vocab.json", folder + "/merges.txt");
  const auto config = ptbert::GPT2Config::from_json_file(folder + "/config.json");
  ptbert::GPT2LMHeadModel model(config);
  for (const auto& name : ptbert::load_pretrained(*model, folder).missing)
    throw ptbert::FormatError("The checkpoint lacks `" + name + "`: it is no GPT-2 model.");
  model->eval();

  ptbert::GenerationOptions options;
  options.max_new_tokens = argc > 3 ? std::atoll(argv[3]) : 100;
  options.seed = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 1;
  options.temperature = 0.8;
  options.top_p = 0.95;
  options.sliding_window = true;
  if (const auto symbol = tokenizer.bpe().find("<|endoftext|>"))
    options.stop_ids = {tokenizer.bpe().id(symbol)};

  std::fputs(prompt.c_str(), stdout);
  const auto print = [&](const ptbert::NewToken& token) {
    // Bytes, not text: a character may consist of several tokens.
    const auto bytes = tokenizer.bytes_of(tokenizer.join({token.id}, false));
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    return std::fflush(stdout) == 0;
  };
  ptbert::generate(model, {tokenizer.encode(prompt)}, options, print);
  std::puts("");
} catch (const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error); // without its stack of calls
  std::fprintf(stderr, "%s\n", torch_error ? torch_error->what_without_backtrace() : error.what());
  return 1;
}
