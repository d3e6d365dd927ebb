#include "ptbert/text/wordpiece_tokenizer.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

#include "ptbert/text/basic_tokenizer.h"
#include "ptbert/text/utf8.h"
#include "wordpiece_core.h"

namespace ptbert {
namespace {

constexpr std::string_view kContinuation = "##";

WordpieceTokenizer::Contains look_up_in(std::shared_ptr<const Vocabulary> vocab) {
  if (vocab == nullptr) {
    throw std::invalid_argument("`vocab` must be a vocabulary, but is null.");
  }
  return [vocab = std::move(vocab)](std::string_view piece) { return vocab->contains(piece); };
}

} // namespace

WordpieceTokenizer::WordpieceTokenizer(std::shared_ptr<const Vocabulary> vocab,
                                       std::string unk_token, std::int64_t max_input_chars_per_word)
    : WordpieceTokenizer(look_up_in(vocab), std::move(unk_token), max_input_chars_per_word) {
  max_piece_bytes_ = vocab->max_token_bytes();
  core_ = std::make_shared<const detail::WordpieceCore>(*vocab, max_input_chars_per_word);
  vocab_ = std::move(vocab);
}

WordpieceTokenizer::WordpieceTokenizer(Contains contains, std::string unk_token,
                                       std::int64_t max_input_chars_per_word)
    : contains_(std::move(contains)), max_piece_bytes_(std::numeric_limits<std::size_t>::max()),
      unk_token_(std::move(unk_token)), max_input_chars_per_word_(max_input_chars_per_word) {}

std::vector<std::string> WordpieceTokenizer::tokenize(std::string_view text) const {
  std::vector<std::string> pieces;
  for (const std::string& word : whitespace_tokenize(text)) {
    append_pieces(word, pieces);
  }
  return pieces;
}

void WordpieceTokenizer::append_pieces(std::string_view word,
                                       std::vector<std::string>& pieces) const {
  const std::size_t before = pieces.size();
  const auto characters = std::count_if(word.begin(), word.end(), starts_code_point);
  if (characters > max_input_chars_per_word_ || !append_longest_matches(word, pieces)) {
    pieces.resize(before);
    pieces.push_back(unk_token_);
  }
}

bool WordpieceTokenizer::append_longest_matches(std::string_view word,
                                                std::vector<std::string>& pieces) const {
  std::string rest; // the rest of the word, after "##" unless it is the whole word
  for (std::size_t start = 0; start < word.size();) {
    const std::size_t prefix = start == 0 ? 0 : kContinuation.size();
    rest.assign(kContinuation.substr(0, prefix)).append(word.substr(start));

    std::size_t length = std::min(rest.size(), max_piece_bytes_);
    while (length > prefix && ((length < rest.size() && !starts_code_point(rest[length])) ||
                               !contains_(std::string_view(rest).substr(0, length)))) {
      --length;
    }
    if (length <= prefix) {
      return false;
    }
    pieces.push_back(rest.substr(0, length));
    start += length - prefix;
  }
  return true;
}

} // namespace ptbert
