#include "ptbert/text/bert_text_encoder.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "basic_pass.h"
#include "mapped.h"
#include "parallel_for.h"
#include "piece_sink.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"
#include "wordpiece_core.h"

namespace ptbert {
namespace {

/// Passes the white-space separated words of a text to a sink, in place of basic_pass.
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
void run_pass(const std::optional<BasicTokenizer>& basic, std::string_view text,
              detail::WordBuffer& token, Sink& sink) {
  if (!basic) {
    whitespace_pass<with_sources>(text, token, sink);
  } else {
    detail::basic_pass<with_sources>(text, basic->do_lower_case(), basic->never_split(), token,
                                     sink);
  }
}

/// As _truncate_seq_pair() of run_classifier.py, 2019.
void truncate_pair(std::vector<Piece>& a, std::vector<Piece>& b, std::size_t max_length) {
  while (a.size() + b.size() > max_length) {
    (a.size() > b.size() ? a : b).pop_back();
  }
}

} // namespace

BertTextEncoder::BertTextEncoder(std::optional<BasicTokenizer> basic, WordpieceTokenizer wordpiece)
    : basic_(std::move(basic)), wordpiece_(std::move(wordpiece)) {
  if (wordpiece_.vocab() == nullptr) {
    throw std::invalid_argument("`wordpiece` must have a vocabulary, but asks a function.");
  }
}

std::vector<Piece> BertTextEncoder::find_pieces(std::string_view text,
                                                std::vector<Offset>* offsets) const {
  const detail::WordpieceCore& core = *wordpiece_.core();
  const auto workspace = core.borrow_workspace();
  if (offsets == nullptr) {
    return find_pieces(text, *workspace);
  }
  detail::check_numbered_length(text);
  offsets->clear();
  std::vector<Piece> pieces;
  detail::OffsetSink sink(core, pieces, *offsets);
  run_pass<true>(basic_, text, workspace->token, sink);
  return pieces;
}

std::vector<Piece> BertTextEncoder::find_pieces(std::string_view text,
                                                detail::WordpieceWorkspace& workspace) const {
  constexpr std::size_t kBytesOfPiece = 4; // a guess, to reserve memory
  std::vector<Piece> pieces;
  pieces.reserve(text.size() / kBytesOfPiece);
  detail::PieceSink sink(*wordpiece_.core(), workspace.cache, pieces);
  run_pass<false>(basic_, text, workspace.token, sink);
  return pieces;
}

void BertTextEncoder::find_pieces_of_all(const std::vector<std::string_view>& texts,
                                         std::size_t num_threads, const UsePieces& use) const {
  std::vector<std::vector<Piece>> rows(texts.size());
  detail::parallel_in_order(
      texts.size(), detail::thread_count(num_threads, texts),
      [&] { return wordpiece_.core()->borrow_workspace(); },
      [&](std::size_t i, const auto& workspace) { rows[i] = find_pieces(texts[i], *workspace); },
      [&](std::size_t first, std::size_t last) {
        use(first, last, rows);
        for (std::size_t i = first; i < last; ++i) {
          rows[i] = std::vector<Piece>(); // frees its memory
        }
      });
}

const std::string& BertTextEncoder::token(Piece piece) const {
  return piece == kUnknownPiece ? wordpiece_.unk_token()
                                : wordpiece_.vocab()->entries()[piece].token;
}

std::int64_t BertTextEncoder::id(Piece piece) const {
  const Vocabulary& vocab = *wordpiece_.vocab();
  return piece == kUnknownPiece ? vocab.id(wordpiece_.unk_token()) : vocab.entries()[piece].id;
}

std::vector<std::int64_t> BertTextEncoder::encode(std::string_view text) const {
  return detail::mapped(find_pieces(text), [&](Piece piece) { return id(piece); });
}

EncodedPair BertTextEncoder::encode_pair(std::string_view text_a,
                                         std::optional<std::string_view> text_b,
                                         std::optional<std::size_t> max_length) const {
  const PiecesOfPair pieces =
      find_pieces_of_pair(text_a, text_b, max_length, *wordpiece_.core()->borrow_workspace());
  EncodedPair pair;
  pair.input_ids.resize(pieces.length());
  pair.token_type_ids.resize(pieces.length());
  write(pieces, pair.input_ids.data(), pair.token_type_ids.data());
  return pair;
}

EncodedBatch
BertTextEncoder::encode_pairs(const std::vector<std::string_view>& texts_a,
                              const std::optional<std::vector<std::string_view>>& texts_b,
                              std::optional<std::size_t> max_length,
                              std::size_t num_threads) const {
  if (texts_b && texts_b->size() != texts_a.size()) {
    throw std::invalid_argument("`text_pairs` must have as many texts as `texts` (" +
                                std::to_string(texts_a.size()) + "), but has " +
                                std::to_string(texts_b->size()) + ".");
  }
  std::size_t threads = detail::thread_count(num_threads, texts_a);
  if (texts_b) {
    threads = std::max(threads, detail::thread_count(num_threads, *texts_b));
  }
  std::vector<PiecesOfPair> rows(texts_a.size());
  std::vector<std::size_t> lengths(texts_a.size());
  detail::parallel_for(
      texts_a.size(), threads, [&] { return wordpiece_.core()->borrow_workspace(); },
      [&](std::size_t i, const auto& workspace) {
        const auto text_b = texts_b ? std::optional((*texts_b)[i]) : std::nullopt;
        rows[i] = find_pieces_of_pair(texts_a[i], text_b, max_length, *workspace);
        lengths[i] = rows[i].length();
      });
  const std::int64_t padding = rows.empty() ? 0 : wordpiece_.vocab()->id("[PAD]");
  return EncodedBatch::pad(lengths, padding, true, threads,
                           [&](std::size_t i, std::int64_t* ids, std::int64_t* token_types) {
                             write(rows[i], ids, token_types);
                           });
}

BertTextEncoder::PiecesOfPair BertTextEncoder::find_pieces_of_pair(
    std::string_view text_a, std::optional<std::string_view> text_b,
    std::optional<std::size_t> max_length, detail::WordpieceWorkspace& workspace) const {
  const std::size_t special = text_b ? 3 : 2;
  if (max_length && *max_length < special) {
    throw std::invalid_argument("`max_length` (" + std::to_string(*max_length) +
                                ") must be at least " + std::to_string(special) +
                                ", which [CLS] and [SEP] take.");
  }
  PiecesOfPair pieces{find_pieces(text_a, workspace), std::nullopt};
  std::vector<Piece> none;
  if (text_b) {
    pieces.b = find_pieces(*text_b, workspace);
  }
  if (max_length) {
    truncate_pair(pieces.a, pieces.b ? *pieces.b : none, *max_length - special);
  }
  return pieces;
}

void BertTextEncoder::write(const PiecesOfPair& pieces, std::int64_t* input_ids,
                            std::int64_t* token_type_ids) const {
  const std::int64_t cls = wordpiece_.vocab()->id("[CLS]"), sep = wordpiece_.vocab()->id("[SEP]");
  const auto append = [&](const std::vector<Piece>& text, std::int64_t token_type) {
    for (const Piece piece : text) {
      *input_ids++ = id(piece);
    }
    *input_ids++ = sep;
    token_type_ids = std::fill_n(token_type_ids, text.size() + 1, token_type);
  };
  *input_ids++ = cls;
  *token_type_ids++ = 0;
  append(pieces.a, 0);
  if (pieces.b) {
    append(*pieces.b, 1);
  }
}

} // namespace ptbert
