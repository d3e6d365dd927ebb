#include "ptbert/text/bert_tokenizer.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "basic_pass.h"
#include "piece_sink.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

/// Gives the white-space separated words of a text to a sink, as basic_pass gives its tokens.
template <bool with_sources, typename Sink>
void whitespace_pass(std::string_view text, detail::WordBuffer& word, Sink& sink) {
  std::uint32_t source = 0;
  const auto end_word = [&] {
    if (word.length > 0) {
      sink.word(word);
      word.length = 0;
    }
  };
  word.length = 0;
  for (std::size_t position = 0; position < text.size(); ++source) {
    const Utf8CodePoint next = decode_utf8_at(text, position);
    if (is_word_separator(next.code)) {
      end_word();
    } else {
      word.reserve(word.length + next.length);
      std::memcpy(&word.bytes[word.length], &text[position], next.length);
      if constexpr (with_sources) {
        std::fill_n(&word.sources[word.length], next.length, source);
      }
      word.length += next.length;
    }
    position += next.length;
  }
  end_word();
}

template <bool with_sources, typename Sink>
void run_pass(const BasicTokenizer* basic, std::string_view text, detail::WordBuffer& token,
              Sink& sink) {
  if (basic == nullptr) {
    whitespace_pass<with_sources>(text, token, sink);
  } else {
    detail::basic_pass<with_sources>(text, basic->do_lower_case(), basic->never_split(), token,
                                     sink);
  }
}

} // namespace

std::vector<std::string> tokenize(const BasicTokenizer& basic, const WordpieceTokenizer& wordpiece,
                                  std::string_view text) {
  std::vector<std::string> pieces;
  for (const std::string& token : basic.tokenize(text)) {
    wordpiece.append_pieces(token, pieces);
  }
  return pieces;
}

void find_pieces(const BasicTokenizer* basic, const WordpieceTokenizer& wordpiece,
                 std::string_view text, std::vector<Piece>& pieces, std::vector<Offset>* offsets) {
  const detail::WordpieceCore& core = *wordpiece.core();
  const detail::WorkspaceLease workspace(core);
  if (offsets == nullptr) {
    detail::PieceSink sink(core, workspace->cache, pieces);
    run_pass<false>(basic, text, workspace->token, sink);
  } else {
    detail::OffsetSink sink(core, pieces, *offsets);
    run_pass<true>(basic, text, workspace->token, sink);
  }
}

BertTokenizer::BertTokenizer(const std::filesystem::path& vocab_file, bool do_lower_case,
                             std::optional<std::int64_t> max_len, bool do_basic_tokenize,
                             const std::vector<std::string>& never_split)
    : vocab_(std::make_shared<const Vocabulary>(Vocabulary::load(vocab_file))), max_len_(max_len),
      do_basic_tokenize_(do_basic_tokenize), basic_tokenizer_(do_lower_case, never_split),
      wordpiece_tokenizer_(vocab_) {}

std::vector<std::string> BertTokenizer::tokenize(std::string_view text) const {
  std::vector<Piece> pieces;
  find_pieces(do_basic_tokenize_ ? &basic_tokenizer_ : nullptr, wordpiece_tokenizer_, text, pieces);
  std::vector<std::string> tokens;
  tokens.reserve(pieces.size());
  for (const Piece piece : pieces) {
    tokens.push_back(piece == kUnknownPiece ? wordpiece_tokenizer_.unk_token()
                                            : vocab_->entries()[piece].token);
  }
  return tokens;
}

std::vector<std::int64_t>
BertTokenizer::convert_tokens_to_ids(const std::vector<std::string>& tokens) const {
  std::vector<std::int64_t> ids;
  ids.reserve(tokens.size());
  for (const std::string& token : tokens) {
    ids.push_back(vocab_->id(token));
  }
  return ids;
}

std::vector<std::string>
BertTokenizer::convert_ids_to_tokens(const std::vector<std::int64_t>& ids) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const std::int64_t id : ids) {
    tokens.push_back(vocab_->token(id));
  }
  return tokens;
}

std::filesystem::path
BertTokenizer::save_vocabulary(const std::filesystem::path& vocab_path) const {
  const std::filesystem::path file =
      std::filesystem::is_directory(vocab_path) ? vocab_path / kVocabularyName : vocab_path;
  vocab_->save(file);
  return file;
}

} // namespace ptbert
