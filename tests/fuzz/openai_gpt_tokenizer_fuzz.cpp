// GPT's tokenizer: the fast pass beside BERT's named steps and the definition of byte-pair
// encoding, and what becomes of text on its way to spaCy.

#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz_support.h"
#include "merge_by_rounds.h"
#include "ptbert/errors.h"
#include "ptbert/text/bpe_files.h"
#include "ptbert/text/openai_gpt_tokenizer.h"
#include "ptbert/text/utf8.h"

namespace ptbert::fuzz {
namespace {

constexpr std::string_view kMerges =
    "#version: 0.2\nt h\nth e</w>\ni n\nin g</w>\na a\naa aa\naa a</w>\nab a\na b\na b</w>\n"
    "< u\n' s</w>\n水 水</w>\n. .\n. .</w>\nσ ς</w>\n";

Strings single_characters() {
  Strings tokens = {"<unk>", "水", "水</w>", "σ", "ς</w>"};
  for (char character = '!'; character <= '~'; ++character) {
    tokens.push_back(std::string(1, character));
    tokens.push_back(tokens.back() + "</w>");
  }
  return tokens;
}

struct Tokenizer {
  Tokenizer(std::string_view merges_file, const Strings& special_tokens)
      : merges(parse_merges(merges_file, "merges.txt")), ranks(ranks_of(merges)),
        has_special_tokens(!special_tokens.empty()), basic(true, special_tokens),
        fast(Bpe(number_tokens(single_characters(), merges), merges)) {
    fast.set_special_tokens(special_tokens);
  }

  std::vector<Bpe::Merge> merges;
  Ranks ranks;
  bool has_special_tokens;
  BasicTokenizer basic;
  OpenAIGPTTokenizer fast;
};

Strings characters_of(const std::string& word) {
  Strings characters;
  for (const char32_t code : decode_utf8(word)) {
    characters.push_back(encode_utf8({&code, 1}));
  }
  characters.back() += "</w>";
  return characters;
}

void check_places(const OpenAIGPTTokenizer& tokenizer, const std::string& text,
                  std::size_t tokens) {
  const std::vector<Offset> offsets = tokenizer.offsets(text);
  require(offsets.size() == tokens, "every token has a place");
  const std::size_t size = decode_utf8(text).size();
  for (const auto [begin, end] : offsets) {
    require(begin < end && end <= size, "a token stands within the text");
  }
}

Strings merge_words(const Strings& words, const Ranks& ranks) {
  Strings tokens;
  for (const std::string& word : words) {
    const Strings merged = merge_by_rounds(characters_of(word), ranks);
    tokens.insert(tokens.end(), merged.begin(), merged.end());
  }
  return tokens;
}

void check_text(const Tokenizer& tokenizer, std::string_view bytes) {
  const OpenAIGPTTokenizer& fast = tokenizer.fast;
  if (find_invalid_utf8(bytes) != std::string_view::npos) {
    require(throws<std::invalid_argument>([&] { fast.encode(bytes); }) &&
                throws<std::invalid_argument>([&] { fast.offsets(bytes); }),
            "text that is not UTF-8 is refused");
  }
  const std::string text = replace_invalid_utf8(bytes);
  const Strings words = tokenizer.basic.tokenize_by_steps(text);
  const Strings tokens = fast.tokenize(text);
  require(tokens == merge_words(words, tokenizer.ranks),
          "the words of BERT's tokenizer are merged round by round");

  const BpeTokenizer::Ids ids = fast.encode(text);
  require(ids == fast.convert_tokens_to_ids(tokens), "ids are those of the tokens");
  require(ids == fast.encode_batch({"", text})[1], "a batch has the ids of its texts");
  fast.decode(ids);
  check_places(fast, text, tokens.size());
  if (!tokenizer.has_special_tokens) {
    require(fast.encode_words(words).symbols == fast.encode_symbols(text).symbols,
            "words that another tokenizer made have the symbols of the text");
  }
  fast.encode_words({text, ""});

  const std::string standardized = standardize_text(text);
  require(standardize_text(standardized) == standardized, "standardized text stays as it is");
}

void check(Input input) {
  constexpr unsigned kSpecialTokens = 1, kOwnMerges = 2;
  const unsigned choices = input.byte() % 4;
  const Strings special_tokens =
      choices & kSpecialTokens ? Strings{"_start_", "ab", "Ab.c", "a</w>"} : Strings();
  if (choices & kOwnMerges) {
    const Tokenizer tokenizer(input.part(), special_tokens);
    check_text(tokenizer, input.rest());
    return;
  }
  // Kept, as making one takes longer than a text; and so are the words in their caches.
  static std::map<unsigned, Tokenizer> tokenizers;
  check_text(tokenizers.try_emplace(choices, kMerges, special_tokens).first->second, input.rest());
}

} // namespace
} // namespace ptbert::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    ptbert::fuzz::check({data, size});
  } catch (const ptbert::FormatError&) {
    // Merges that are refused.
  }
  return 0;
}
