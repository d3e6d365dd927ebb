#include "ptbert/text/openai_gpt_tokenizer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "basic_pass.h"
#include "bpe_workspace.h"
#include "ptbert/text/bpe_files.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

constexpr std::string_view kEndOfWord = "</w>";

/// Replaces typographic characters that spaCy's tokenizer did not handle well.
std::u32string replace_typography(std::u32string_view text) {
  std::u32string replaced;
  replaced.reserve(text.size());
  for (const char32_t code : text) {
    switch (code) {
    case 0x2014: // em dash
    case 0x2013: // en dash
    case 0x2015: // horizontal bar
      replaced.push_back(U'-');
      break;
    case 0x2026: // ellipsis
      replaced.append(U"...");
      break;
    case 0x00B4: // acute accent
      replaced.push_back(U'\'');
      break;
    default:
      replaced.push_back(code);
    }
  }
  return replaced;
}

std::u32string space_punctuation_runs(std::u32string_view text) {
  constexpr std::u32string_view kSpaced = U"-~!\";?+,)(\\/*[]}{|_";
  std::u32string spaced;
  spaced.reserve(2 * text.size());
  for (auto first = text.begin(); first != text.end();) {
    if (kSpaced.find(*first) == std::u32string_view::npos) {
      spaced.push_back(*first++);
      continue;
    }
    const char32_t code = *first;
    const auto last = std::find_if(first, text.end(), [&](char32_t c) { return c != code; });
    spaced.push_back(U' ');
    spaced.append(first, last);
    spaced.push_back(U' ');
    first = last;
  }
  return spaced;
}

std::u32string fold_white_space(std::u32string_view text) {
  std::u32string folded;
  folded.reserve(text.size());
  for (auto first = text.begin(); first != text.end();) {
    if (!is_word_separator(*first)) {
      folded.push_back(*first++);
      continue;
    }
    const auto last = std::find_if_not(first, text.end(), is_word_separator);
    const bool has_newline = std::find(first, last, U'\n') != last;
    folded.append(has_newline ? U" \n " : U" ");
    first = last;
  }
  return folded;
}

} // namespace

std::string standardize_text(std::string_view text) {
  const std::u32string codes =
      fold_white_space(space_punctuation_runs(replace_typography(decode_utf8(text))));
  return encode_utf8(strip_white_space(codes));
}

OpenAIGPTTokenizer::OpenAIGPTTokenizer(const std::filesystem::path& vocab_file,
                                       const std::filesystem::path& merges_file,
                                       const std::vector<std::string>& special_tokens,
                                       std::optional<std::int64_t> max_len)
    : OpenAIGPTTokenizer(read_bpe(vocab_file, merges_file), max_len) {
  OpenAIGPTTokenizer::set_special_tokens(special_tokens);
}

OpenAIGPTTokenizer::OpenAIGPTTokenizer(Bpe bpe, std::optional<std::int64_t> max_len)
    : BpeTokenizer(std::move(bpe), std::string(kEndOfWord), max_len), basic_tokenizer_(true, {}) {}

void OpenAIGPTTokenizer::set_special_tokens(const std::vector<std::string>& tokens) {
  BpeTokenizer::set_special_tokens(tokens);
  set_basic_tokenizer(BasicTokenizer(true, tokens));
}

void OpenAIGPTTokenizer::set_basic_tokenizer(BasicTokenizer basic_tokenizer) {
  basic_tokenizer_ = std::move(basic_tokenizer);
}

void OpenAIGPTTokenizer::append_symbols(std::string_view text, detail::BpeWorkspace& workspace,
                                        Symbols& symbols) const {
  struct Sink {
    std::pair<std::size_t, std::size_t> mark() const {
      return {symbols.symbols.size(), symbols.unknown.size()};
    }
    void back_to(const std::pair<std::size_t, std::size_t>& mark) {
      symbols.symbols.resize(mark.first);
      symbols.unknown.resize(mark.second);
    }
    void word(const detail::WordBuffer& token) {
      tokenizer.append_word({token.bytes.data(), token.length}, workspace, symbols);
    }

    const OpenAIGPTTokenizer& tokenizer;
    detail::BpeWorkspace& workspace;
    Symbols& symbols;
  };
  Sink sink{*this, workspace, symbols};
  detail::basic_pass<false>(text, basic_tokenizer_.do_lower_case(), basic_tokenizer_.never_split(),
                            workspace.token, sink);
}

void OpenAIGPTTokenizer::append_offsets(std::string_view text, detail::BpeWorkspace& workspace,
                                        std::vector<Offset>& offsets) const {
  struct Sink {
    std::size_t mark() const { return offsets.size(); }
    void back_to(std::size_t mark) { offsets.resize(mark); }
    void word(const detail::WordBuffer& token) {
      tokenizer.append_word_offsets({token.bytes.data(), token.length}, token.sources.data(),
                                    workspace, offsets);
    }

    const OpenAIGPTTokenizer& tokenizer;
    detail::BpeWorkspace& workspace;
    std::vector<Offset>& offsets;
  };
  Sink sink{*this, workspace, offsets};
  detail::basic_pass<true>(text, basic_tokenizer_.do_lower_case(), basic_tokenizer_.never_split(),
                           workspace.token, sink);
}

BpeTokenizer::Symbols
OpenAIGPTTokenizer::encode_words(const std::vector<std::string>& words) const {
  Symbols symbols;
  for (const std::string& word : words) {
    if (!word.empty()) {
      append_spaced_word(encode_utf8(to_lower(decode_utf8(word))), symbols);
    }
  }
  return symbols;
}

void OpenAIGPTTokenizer::append_spaced_word(const std::string& word, Symbols& symbols) const {
  Symbols merged = encode_word(word);
  if (word.find(' ') == std::string::npos) {
    symbols.symbols.insert(symbols.symbols.end(), merged.symbols.begin(), merged.symbols.end());
    std::move(merged.unknown.begin(), merged.unknown.end(), std::back_inserter(symbols.unknown));
    return;
  }
  std::string joined;
  auto unknown = merged.unknown.begin();
  for (const Symbol symbol : merged.symbols) {
    joined.append(joined.empty() ? "" : " ");
    joined.append(symbol == Bpe::kUnknown ? std::string_view(*unknown++) : bpe().text(symbol));
  }
  if (joined == "\n  </w>") { // a special case in the 2019 library: a newline and a space
    joined = "\n</w>";
  }
  for (std::size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = joined.find(' ', begin);
    const std::string token = joined.substr(begin, end == std::string::npos ? end : end - begin);
    symbols.symbols.push_back(bpe().find(token));
    if (symbols.symbols.back() == Bpe::kUnknown) {
      symbols.unknown.push_back(token);
    }
  }
}

void OpenAIGPTTokenizer::append_pieces(std::string_view word,
                                       std::vector<Bpe::Piece>& pieces) const {
  append_code_points(word, pieces);
}

std::string OpenAIGPTTokenizer::unknown_text(std::string_view piece, bool ends_word) const {
  return std::string(piece).append(ends_word ? kEndOfWord : "");
}

std::string OpenAIGPTTokenizer::bytes_of(std::string_view joined) const {
  std::string text(joined);
  detail::replace_all(text, kEndOfWord, " ");
  return encode_utf8(strip_white_space(decode_utf8(text)));
}

} // namespace ptbert
