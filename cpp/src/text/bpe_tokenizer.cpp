#include "ptbert/text/bpe_tokenizer.h"

#include <algorithm>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "bpe_workspace.h"
#include "mapped.h"
#include "parallel_for.h"
#include "ptbert/errors.h"
#include "ptbert/text/bpe_files.h"
#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

std::size_t code_point_bytes(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

/// Calls `use(symbol, text)` for each symbol; `text` is its string if it is Bpe::kUnknown, else "".
template <typename Use> void for_each(const BpeTokenizer::Symbols& symbols, Use use) {
  auto unknown = symbols.unknown.begin();
  for (const Bpe::Symbol symbol : symbols.symbols) {
    use(symbol, symbol == Bpe::kUnknown ? std::string_view(*unknown++) : std::string_view());
  }
}

} // namespace

void detail::replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::size_t found = text.find(from);
  if (found == std::string::npos) {
    return;
  }
  std::string replaced;
  replaced.reserve(text.size());
  std::size_t begin = 0;
  for (; found != std::string::npos; found = text.find(from, begin)) {
    replaced.append(text, begin, found - begin).append(to);
    begin = found + from.size();
  }
  text = std::move(replaced.append(text, begin));
}

std::string clean_up_tokenization(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kReplacements[] = {
      {"<unk>", ""},         {" .", "."},   {" ?", "?"},     {" !", "!"},
      {" ,", ","},           {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},
      {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kReplacements) {
    detail::replace_all(text, from, to);
  }
  return text;
}

BpeTokenizer::BpeTokenizer(Bpe bpe, std::string end_of_word, std::optional<std::int64_t> max_len)
    : bpe_(std::make_shared<const Bpe>(std::move(bpe))),
      workspaces_(std::make_shared<detail::BpeWorkspaces>()), end_of_word_(std::move(end_of_word)),
      max_len_(max_len) {}

BpeTokenizer::~BpeTokenizer() = default;

std::vector<std::string> BpeTokenizer::tokenize(std::string_view text) const {
  check_utf8(text);
  std::vector<std::string> tokens;
  for_each(encode_symbols(text), [&](Symbol symbol, std::string_view unknown) {
    tokens.emplace_back(symbol == Bpe::kUnknown ? unknown : bpe_->text(symbol));
  });
  return tokens;
}

BpeTokenizer::Ids BpeTokenizer::encode(std::string_view text) const {
  check_utf8(text);
  return ids_of(encode_symbols(text));
}

/// Returns `encode(text, workspace)` for each text. Each thread uses one workspace throughout, so
/// that its word cache stays in the cache of its processor.
template <typename Encode>
auto BpeTokenizer::encode_each(const std::vector<std::string_view>& texts, std::size_t num_threads,
                               Encode encode) const {
  std::vector<std::invoke_result_t<Encode, std::string_view, detail::BpeWorkspace&>> rows(
      texts.size());
  detail::parallel_for(
      texts.size(), detail::thread_count(num_threads, texts), [&] { return workspaces_->borrow(); },
      [&](std::size_t i, const auto& workspace) { rows[i] = encode(texts[i], *workspace); });
  return rows;
}

std::vector<BpeTokenizer::Ids>
BpeTokenizer::encode_batch(const std::vector<std::string_view>& texts,
                           std::size_t num_threads) const {
  return encode_each(texts, num_threads,
                     [&](std::string_view text, detail::BpeWorkspace& workspace) {
                       check_utf8(text);
                       return ids_of(encode_symbols(text, workspace));
                     });
}

EncodedBatch BpeTokenizer::encode_padded(const std::vector<std::string_view>& texts,
                                         std::optional<std::size_t> max_length,
                                         std::size_t num_threads) const {
  constexpr std::int64_t kPadding = 0;
  std::vector<Symbols> rows =
      encode_each(texts, num_threads, [&](std::string_view text, detail::BpeWorkspace& workspace) {
        check_utf8(text);
        return encode_symbols(text, workspace);
      });
  std::vector<std::size_t> lengths;
  lengths.reserve(rows.size());
  for (Symbols& row : rows) {
    lengths.push_back(std::min(row.symbols.size(), max_length.value_or(row.symbols.size())));
    row.symbols.resize(lengths.back());
  }
  return EncodedBatch::pad(lengths, kPadding, false, detail::thread_count(num_threads, texts),
                           [&](std::size_t i, std::int64_t* ids, std::int64_t*) {
                             for_each(rows[i], [&](Symbol symbol, std::string_view unknown) {
                               *ids++ = id_of(symbol, unknown);
                             });
                           });
}

std::vector<Offset> BpeTokenizer::offsets(std::string_view text) const {
  check_utf8(text);
  detail::check_numbered_length(text);
  std::vector<Offset> offsets;
  append_offsets(text, *workspaces_->borrow(), offsets);
  return offsets;
}

BpeTokenizer::Ids BpeTokenizer::ids_of(const Symbols& symbols) const {
  Ids ids;
  ids.reserve(symbols.symbols.size());
  for_each(symbols,
           [&](Symbol symbol, std::string_view unknown) { ids.push_back(id_of(symbol, unknown)); });
  return ids;
}

std::int64_t BpeTokenizer::id_of(Symbol symbol, std::string_view unknown) const {
  if (special_ids_.empty()) {
    return bpe_->id(symbol);
  }
  const auto found =
      special_ids_.find(std::string(symbol == Bpe::kUnknown ? unknown : bpe_->text(symbol)));
  return found == special_ids_.end() ? bpe_->id(symbol) : found->second;
}

BpeTokenizer::Symbols BpeTokenizer::encode_symbols(std::string_view text) const {
  return encode_symbols(text, *workspaces_->borrow());
}

BpeTokenizer::Symbols BpeTokenizer::encode_symbols(std::string_view text,
                                                   detail::BpeWorkspace& workspace) const {
  constexpr std::size_t kBytesOfToken = 4; // a guess, to reserve memory
  Symbols symbols;
  symbols.symbols.reserve(text.size() / kBytesOfToken + 1);
  append_symbols(text, workspace, symbols);
  return symbols;
}

void BpeTokenizer::encode_symbols_batch(const std::vector<std::string_view>& texts,
                                        std::size_t num_threads, const UseSymbols& use) const {
  std::vector<Symbols> rows(texts.size());
  detail::parallel_in_order(
      texts.size(), detail::thread_count(num_threads, texts), [&] { return workspaces_->borrow(); },
      [&](std::size_t i, const auto& workspace) { rows[i] = encode_symbols(texts[i], *workspace); },
      [&](std::size_t first, std::size_t last) {
        use(first, last, rows);
        for (std::size_t i = first; i < last; ++i) {
          rows[i] = Symbols(); // frees its memory
        }
      });
}

template <typename UnknownText>
void BpeTokenizer::append_merged(std::string_view word, detail::BpeWorkspace& workspace,
                                 Symbols& symbols, UnknownText unknown) const {
  bpe_->merge(workspace.pieces);
  std::size_t position = 0;
  for (const Bpe::Piece& piece : workspace.pieces) {
    symbols.symbols.push_back(piece.symbol);
    const std::size_t end = position + piece.bytes;
    if (piece.symbol == Bpe::kUnknown) {
      symbols.unknown.push_back(unknown(word.substr(position, piece.bytes), end == word.size()));
    }
    position = end;
  }
}

BpeTokenizer::Symbols BpeTokenizer::encode_word(std::string_view word) const {
  if (word.empty()) {
    throw std::invalid_argument("`token` must have at least one character, but is empty.");
  }
  check_utf8(word);
  Symbols symbols;
  const auto workspace = workspaces_->borrow();
  workspace->pieces.clear();
  append_code_points(word, workspace->pieces);
  append_merged(word, *workspace, symbols, [this](std::string_view piece, bool ends_word) {
    return std::string(piece) + (ends_word ? end_of_word_ : "");
  });
  return symbols;
}

void BpeTokenizer::append_word(std::string_view word, detail::BpeWorkspace& workspace,
                               Symbols& symbols) const {
  workspace.cache.append(word, symbols.symbols, [&] {
    const std::size_t unknown_before = symbols.unknown.size();
    workspace.pieces.clear();
    append_pieces(word, workspace.pieces);
    append_merged(word, workspace, symbols, [this](std::string_view piece, bool ends_word) {
      return unknown_text(piece, ends_word);
    });
    return symbols.unknown.size() == unknown_before;
  });
}

void BpeTokenizer::append_word_offsets(std::string_view word, const std::uint32_t* sources,
                                       detail::BpeWorkspace& workspace,
                                       std::vector<Offset>& offsets) const {
  workspace.pieces.clear();
  append_pieces(word, workspace.pieces);
  bpe_->merge(workspace.pieces);
  std::size_t begin = 0;
  for (const Bpe::Piece& piece : workspace.pieces) {
    const std::size_t end = begin + piece.bytes;
    offsets.push_back(detail::offset_of(sources + begin, sources + end));
    begin = end;
  }
}

void BpeTokenizer::append_code_points(std::string_view word,
                                      std::vector<Bpe::Piece>& pieces) const {
  for (std::size_t position = 0; position < word.size();) {
    const std::size_t bytes = code_point_bytes(word[position]);
    const std::string_view character = word.substr(position, bytes);
    position += bytes;
    const Symbol symbol = position < word.size() || end_of_word_.empty()
                              ? bpe_->find(character)
                              : bpe_->find(std::string(character) + end_of_word_);
    pieces.push_back({symbol, static_cast<std::uint32_t>(bytes)});
  }
}

BpeTokenizer::Ids
BpeTokenizer::convert_tokens_to_ids(const std::vector<std::string>& tokens) const {
  return detail::mapped(tokens,
                        [&](const std::string& token) { return convert_token_to_id(token); });
}

std::int64_t BpeTokenizer::convert_token_to_id(std::string_view token) const {
  return id_of(bpe_->find(token), token);
}

std::optional<std::string_view> BpeTokenizer::token_of_id(std::int64_t id,
                                                          bool skip_special_tokens) const {
  if (!special_tokens_.empty()) {
    const auto found = special_tokens_.find(id);
    if (found != special_tokens_.end()) {
      return skip_special_tokens ? std::nullopt : std::optional<std::string_view>(found->second);
    }
  }
  const Symbol symbol = bpe_->symbol_of_id(id);
  if (symbol == Bpe::kUnknown) {
    throw KeyError("`ids` must be in the vocabulary of " + std::to_string(size()) +
                   " tokens, but " + std::to_string(id) + " is not.");
  }
  return bpe_->text(symbol);
}

std::vector<std::string> BpeTokenizer::convert_ids_to_tokens(const Ids& ids,
                                                             bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const std::int64_t id : ids) {
    if (const auto token = token_of_id(id, skip_special_tokens)) {
      tokens.emplace_back(*token);
    }
  }
  return tokens;
}

std::string BpeTokenizer::join(const Ids& ids, bool skip_special_tokens) const {
  std::string joined;
  for (const std::int64_t id : ids) {
    joined.append(token_of_id(id, skip_special_tokens).value_or(std::string_view()));
  }
  return joined;
}

std::string BpeTokenizer::decode(const Ids& ids, bool skip_special_tokens,
                                 bool clean_up_tokenization_spaces) const {
  std::string text = replace_invalid_utf8(bytes_of(join(ids, skip_special_tokens)));
  return clean_up_tokenization_spaces ? clean_up_tokenization(std::move(text)) : text;
}

void BpeTokenizer::set_special_tokens(const std::vector<std::string>& tokens) {
  special_ids_.clear();
  special_tokens_.clear();
  auto id = static_cast<std::int64_t>(bpe_->tokens().size());
  for (const std::string& token : tokens) {
    special_ids_.insert_or_assign(token, id++);
  }
  for (const auto& [token, special_id] : special_ids_) {
    special_tokens_.emplace(special_id, token);
  }
}

void BpeTokenizer::set_special_tables(const std::vector<Vocabulary::Entry>& ids,
                                      const std::vector<Vocabulary::Entry>& tokens) {
  special_ids_.clear();
  special_tokens_.clear();
  for (const Vocabulary::Entry& entry : ids) {
    special_ids_.insert_or_assign(entry.token, entry.id);
  }
  for (const Vocabulary::Entry& entry : tokens) {
    special_tokens_.insert_or_assign(entry.id, entry.token);
  }
}

std::vector<std::string> BpeTokenizer::special_tokens() const {
  auto rows = detail::mapped(
      special_ids_, [](const auto& entry) { return std::pair(entry.second, entry.first); });
  std::sort(rows.begin(), rows.end());
  return detail::mapped(rows, [](const auto& row) { return row.second; });
}

void BpeTokenizer::save_vocabulary(const std::filesystem::path& directory) const {
  write_bpe_files(directory, *bpe_, special_tokens());
}

} // namespace ptbert
