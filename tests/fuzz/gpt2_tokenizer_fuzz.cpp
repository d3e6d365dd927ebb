// GPT-2's tokenizer: words beside the pattern's alternatives, byte-pair encoding beside its
// definition, text that comes back, and files.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz_support.h"
#include "merge_by_rounds.h"
#include "ptbert/errors.h"
#include "ptbert/text/bpe_files.h"
#include "ptbert/text/gpt2_tokenizer.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert::fuzz {
namespace {

constexpr std::string_view kMerges =
    "#version: 0.2\nĠ t\nh e\nĠt he\nĠ a\ni n\na a\naa aa\nin g\nĠ Ġ\nĠĠ Ġ\nab a\na b\nĊ Ċ\n"
    "Ã ©\næ °\næ° ´\n' s\n";

/// What kGpt2Pattern matches at the beginning of a text, alternative by alternative.
std::size_t match_gpt2_pattern(std::u32string_view text) {
  for (const std::u32string_view suffix : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"}) {
    if (text.substr(0, suffix.size()) == suffix) {
      return suffix.size();
    }
  }
  const auto run = [&](std::size_t begin, CharacterClass wanted) {
    std::size_t end = begin;
    while (end < text.size() && character_class(text[end]) == wanted) {
      ++end;
    }
    return end;
  };
  const std::size_t after_space = text[0] == U' ' ? 1 : 0;
  for (const CharacterClass wanted :
       {CharacterClass::kLetter, CharacterClass::kNumber, CharacterClass::kOther}) {
    const std::size_t end = run(after_space, wanted);
    if (end > after_space) {
      return end;
    }
  }
  const std::size_t end = run(0, CharacterClass::kSpace);
  return end == text.size() || end == 1 ? end : end - 1;
}

Strings split_by_pattern(const std::string& text) {
  const std::u32string codes = decode_utf8(text);
  Strings words;
  for (std::u32string_view rest = codes; !rest.empty();) {
    const std::size_t length = match_gpt2_pattern(rest);
    words.push_back(encode_utf8(rest.substr(0, length)));
    rest.remove_prefix(length);
  }
  return words;
}

std::string byte_token(char byte) {
  return encode_utf8(std::u32string(1, gpt2_byte_character(static_cast<unsigned char>(byte))));
}

struct Tokenizer {
  enum Choice : unsigned { kOnlyAscii = 1, kSpecialTokens = 2 };

  Tokenizer(std::string_view merges_file, unsigned choices)
      : merges(parse_merges(merges_file, "merges.txt")), ranks(ranks_of(merges)),
        is_complete(!(choices & kOnlyAscii)),
        fast(Bpe(number_tokens(byte_tokens(choices), merges), merges)) {
    if (choices & kSpecialTokens) {
      fast.set_special_tokens({"<|endoftext|>", "he", "Ġa"});
    }
  }

  static Strings byte_tokens(unsigned choices) {
    Strings tokens;
    for (int byte = 0; byte < (choices & kOnlyAscii ? 128 : 256); ++byte) {
      tokens.push_back(byte_token(static_cast<char>(byte)));
    }
    return tokens;
  }

  std::vector<Bpe::Merge> merges;
  Ranks ranks;
  bool is_complete; // has a token for every byte
  GPT2Tokenizer fast;
};

void check_places(const GPT2Tokenizer& tokenizer, const std::string& text, std::size_t tokens) {
  const std::vector<Offset> offsets = tokenizer.offsets(text);
  require(offsets.size() == tokens, "every token has a place");
  std::size_t covered = 0;
  for (const auto [begin, end] : offsets) {
    require(begin < end && (begin == covered || begin + 1 == covered),
            "a token begins where the one before ends, or in the same code point");
    covered = end;
  }
  require(covered == decode_utf8(text).size(), "tokens cover the text");
}

Strings tokenize_by_definition(const Strings& words, const Ranks& ranks) {
  Strings tokens;
  for (const std::string& word : words) {
    Strings characters;
    for (const char byte : word) {
      characters.push_back(byte_token(byte));
    }
    const Strings merged = merge_by_rounds(std::move(characters), ranks);
    tokens.insert(tokens.end(), merged.begin(), merged.end());
  }
  return tokens;
}

void check_text(const Tokenizer& tokenizer, std::string_view bytes) {
  const GPT2Tokenizer& fast = tokenizer.fast;
  if (find_invalid_utf8(bytes) != std::string_view::npos) {
    require(throws<std::invalid_argument>([&] { fast.encode(bytes); }) &&
                throws<std::invalid_argument>([&] { fast.offsets(bytes); }),
            "text that is not UTF-8 is refused");
  }
  const std::string text = replace_invalid_utf8(bytes);
  const std::vector<std::string_view> views = split_gpt2_words(text);
  const Strings words(views.begin(), views.end());
  require(words == split_by_pattern(text), "words are what the pattern matches");
  const Strings tokens = fast.tokenize(text);
  require(tokens == tokenize_by_definition(words, tokenizer.ranks),
          "words are merged round by round");

  const BpeTokenizer::Ids ids = fast.encode(text);
  require(ids == fast.convert_tokens_to_ids(tokens), "ids are those of the tokens");
  require(ids == fast.encode_batch({"", text})[1], "a batch has the ids of its texts");
  fast.decode(ids);
  if (tokenizer.is_complete) {
    require(fast.decode(ids, false, false) == text, "a text comes back");
    require(fast.convert_ids_to_tokens(ids) == tokens, "tokens come back");
  }
  check_places(fast, text, tokens.size());
}

/// Reads vocab.json, and reads it again after writing it.
void check_vocabulary(std::string_view json) {
  static const TemporaryFolder folder;
  const Bpe bpe(parse_vocab_json(json, "vocab.json"), {});
  write_bpe_files(folder.path(), bpe, {});
  const Bpe again = read_bpe(folder.path() / kBpeVocabularyName, folder.path() / kMergesName);
  require(bpe.tokens() == again.tokens(), "a saved vocabulary has as many tokens when loaded");
  for (const Bpe::Symbol token : bpe.tokens()) {
    require(bpe.text(token) == again.text(token) && bpe.id(token) == again.id(token),
            "a saved vocabulary is the same when loaded");
    require(bpe.find(bpe.text(token)) == token, "a token is found by its text");
    require(bpe.id(bpe.symbol_of_id(bpe.id(token))) == bpe.id(token), "an id finds its token");
  }
}

void check(Input input) {
  constexpr unsigned kVocabularyFile = 4, kOwnMerges = 8;
  const unsigned choices = input.byte() % 16;
  if (choices & kVocabularyFile) {
    check_vocabulary(input.rest());
  } else if (choices & kOwnMerges) {
    const Tokenizer tokenizer(input.part(), choices);
    check_text(tokenizer, input.rest());
  } else {
    // Kept, as making one takes longer than a text; and so are the words in their caches.
    static std::map<unsigned, Tokenizer> tokenizers;
    check_text(tokenizers.try_emplace(choices, kMerges, choices).first->second, input.rest());
  }
}

} // namespace
} // namespace ptbert::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    ptbert::fuzz::check({data, size});
  } catch (const ptbert::FormatError&) {
    // A file that is refused.
  }
  return 0;
}
