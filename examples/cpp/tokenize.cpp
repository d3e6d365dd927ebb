// Prints the tokens of a text, their ids and where they stand: of BERT for two arguments, of GPT-2
// for three. Needs neither torch nor Python.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "ptbert/text/bert_tokenizer.h"
#include "ptbert/text/gpt2_tokenizer.h"

namespace {

void print(const std::vector<std::string>& tokens, const std::vector<std::int64_t>& ids,
           const std::vector<ptbert::Offset>& offsets) {
  for (std::size_t i = 0; i < tokens.size(); ++i)
    std::printf("%s\t%lld\t%zu-%zu\n", tokens[i].c_str(), static_cast<long long>(ids[i]),
                offsets[i].begin, offsets[i].end);
}

} // namespace

int main(int argc, char** argv) try {
  if (argc == 3) {
    const ptbert::BertTokenizer tokenizer(argv[1]);
    std::vector<ptbert::Offset> offsets;
    tokenizer.encoder().find_pieces(argv[2], &offsets);
    print(tokenizer.tokenize(argv[2]), tokenizer.encoder().encode(argv[2]), offsets);
  } else if (argc == 4) {
    const ptbert::GPT2Tokenizer tokenizer(argv[1], argv[2]);
    print(tokenizer.tokenize(argv[3]), tokenizer.encode(argv[3]), tokenizer.offsets(argv[3]));
  } else {
    std::fprintf(stderr,
                 "usage: tokenize VOCAB.TXT TEXT, or tokenize VOCAB.JSON MERGES.TXT TEXT\n");
    return 2;
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
