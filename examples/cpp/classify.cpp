// Prints the logits of a fine-tuned, uncased BertForSequenceClassification for one or two texts.
#include <cstdio>

#include "ptbert/errors.h"
#include "ptbert/models/bert_heads.h"
#include "ptbert/models/loading.h"
#include "ptbert/text/bert_tokenizer.h"

int main(int argc, char** argv) try {
  TORCH_CHECK(argc == 3 || argc == 4, "usage: classify FOLDER TEXT [SECOND_TEXT]");
  const std::string folder = argv[1];
  const ptbert::BertTokenizer tokenizer(folder + "/vocab.txt");
  std::vector<std::string> tokens = {"[CLS]"};
  std::vector<int64_t> types = {0};
  for (int i = 2; i < argc; ++i) {
    const auto pieces = tokenizer.tokenize(argv[i]);
    tokens.insert(tokens.end(), pieces.begin(), pieces.end());
    tokens.push_back("[SEP]");
    types.resize(tokens.size(), i - 2);
  }
  int64_t num_labels = 2;
  for (const auto& [name, tensor] : ptbert::load_checkpoint(folder))
    num_labels = name == "classifier.bias" ? tensor.numel() : num_labels;
  const auto config = ptbert::BertConfig::from_json_file(folder + "/config.json");
  ptbert::BertForSequenceClassification model(config, num_labels);
  for (const auto& name : ptbert::load_pretrained(*model, folder).missing)
    throw ptbert::FormatError("The checkpoint lacks `" + name +
                              "`: it is no fine-tuned classifier.");
  model->eval();
  const torch::NoGradGuard no_grad;
  const auto ids = torch::tensor(tokenizer.convert_tokens_to_ids(tokens)).unsqueeze(0);
  const auto logits = model->forward(ids, torch::tensor(types).unsqueeze(0)).logits[0];
  for (int64_t i = 0; i < num_labels; ++i)
    std::printf("%.8f\n", logits[i].item<double>());
} catch (const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error); // without its stack of calls
  std::fprintf(stderr, "%s\n", torch_error ? torch_error->what_without_backtrace() : error.what());
  return 1;
}
