// Prints the lines of a file that are nearest in meaning to a query, by a BERT that was trained for
// sentence embeddings (mean of the last hidden states, unit length).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "ptbert/errors.h"
#include "ptbert/models/embedding.h"
#include "ptbert/models/loading.h"
#include "ptbert/text/bert_tokenizer.h"

int main(int argc, char** argv) try {
  TORCH_CHECK(argc == 4 || argc == 5, "usage: nearest FOLDER TEXT_FILE QUERY [HOW_MANY]");
  const std::string folder = argv[1], file = argv[2];
  const auto how_many = argc == 5 ? std::atoll(argv[4]) : 5;
  TORCH_CHECK(how_many > 0, "`HOW_MANY` must be at least 1, but is ", argv[argc - 1], ".");
  std::ifstream input(file);
  TORCH_CHECK(input, "cannot open ", file);
  std::vector<std::string> texts = {argv[3]}; // the query first, then the lines
  for (std::string line; std::getline(input, line);)
    if (line.find_first_not_of(" \t\r") != std::string::npos)
      texts.push_back(line);
  TORCH_CHECK(texts.size() > 1, file, " must hold at least one line of text.");

  const ptbert::BertTokenizer tokenizer(folder + "/vocab.txt");
  const auto config = ptbert::BertConfig::from_json_file(folder + "/config.json");
  ptbert::BertModel model(config);
  for (const auto& name : ptbert::load_pretrained(*model, folder).missing)
    throw ptbert::FormatError("The checkpoint lacks `" + name + "`: it is no BERT.");
  model->eval();
  std::vector<std::vector<int64_t>> input_ids;
  for (const auto& text : texts) {
    auto tokens = tokenizer.tokenize(text);
    const auto room = static_cast<size_t>(config.max_position_embeddings - 2);
    tokens.resize(std::min(tokens.size(), room)); // the rest of a long line is left out
    tokens.insert(tokens.begin(), "[CLS]");
    tokens.push_back("[SEP]");
    input_ids.push_back(tokenizer.convert_tokens_to_ids(tokens));
  }

  const auto embeddings = ptbert::embed(model, input_ids);
  const auto lines = embeddings.slice(0, 1);
  const auto cosines = torch::mv(lines, embeddings[0]);
  const auto [values, places] = cosines.topk(std::min<int64_t>(how_many, cosines.size(0)));
  for (int64_t i = 0; i < values.size(0); ++i)
    std::printf("%.4f\t%s\n", values[i].item<double>(),
                texts[1 + places[i].item<int64_t>()].c_str());
} catch (const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error); // without its stack of calls
  std::fprintf(stderr, "%s\n", torch_error ? torch_error->what_without_backtrace() : error.what());
  return 1;
}
