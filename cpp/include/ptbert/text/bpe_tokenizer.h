#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ptbert/text/bpe.h"
#include "ptbert/text/encoded_batch.h"
#include "ptbert/text/offset.h"
#include "ptbert/text/vocabulary.h"

namespace ptbert {

namespace detail {
struct BpeWorkspace;
class BpeWorkspaces;

void replace_all(std::string& text, std::string_view from, std::string_view to);
} // namespace detail

/// Removes spaces before punctuation and English contractions, and removes "<unk>".
std::string clean_up_tokenization(std::string text);

/// Base of the tokenizers of GPT and GPT-2: byte-pair encoding of words, ids, special tokens and
/// files. A derived class splits a text into words and a word into initial symbols, and turns
/// tokens back into text. Const methods are thread-safe.
class BpeTokenizer {
public:
  using Symbol = Bpe::Symbol;
  using Ids = std::vector<std::int64_t>;

  /// The tokens of a text; `unknown` has the strings of the Bpe::kUnknown symbols, in order.
  struct Symbols {
    std::vector<Symbol> symbols;
    std::vector<std::string> unknown;
  };

  virtual ~BpeTokenizer();

  /// Takes and returns UTF-8; throws std::invalid_argument for anything else.
  std::vector<std::string> tokenize(std::string_view text) const;
  /// The ids of the tokens that tokenize() returns.
  Ids encode(std::string_view text) const;
  /// The ids of many texts, on `num_threads` threads (0: all processors).
  std::vector<Ids> encode_batch(const std::vector<std::string_view>& texts,
                                std::size_t num_threads = 0) const;
  /// The same as rows of one length, truncated to `max_length` and padded with 0; without token
  /// types.
  EncodedBatch encode_padded(const std::vector<std::string_view>& texts,
                             std::optional<std::size_t> max_length = std::nullopt,
                             std::size_t num_threads = 0) const;
  /// The offset of each token of tokenize(): it spans the first to the last code point that the
  /// token was made from. Tokens of GPT-2 that share the bytes of one code point overlap.
  std::vector<Offset> offsets(std::string_view text) const;
  /// Turns ids back into UTF-8 text. Throws KeyError for an id that no token has.
  std::string decode(const Ids& ids, bool skip_special_tokens = false,
                     bool clean_up_tokenization_spaces = true) const;

  /// Returns the ids of tokens, 0 for tokens that are neither in the vocabulary nor special. The
  /// result may be longer than max_len().
  Ids convert_tokens_to_ids(const std::vector<std::string>& tokens) const;
  std::int64_t convert_token_to_id(std::string_view token) const;
  /// Throws KeyError as decode() does.
  std::vector<std::string> convert_ids_to_tokens(const Ids& ids,
                                                 bool skip_special_tokens = false) const;

  /// Replaces the special tokens. Their ids follow those of the vocabulary, and they take
  /// precedence over equal tokens in it. Texts are not searched for them.
  virtual void set_special_tokens(const std::vector<std::string>& tokens);
  /// The special tokens by increasing id.
  std::vector<std::string> special_tokens() const;

  /// Writes vocab.json, merges.txt and special_tokens.txt to an existing directory. Throws
  /// FileError if they cannot be written.
  void save_vocabulary(const std::filesystem::path& directory) const;

  /// The number of tokens, special ones included.
  std::size_t size() const { return bpe_->tokens().size() + special_ids_.size(); }
  std::optional<std::int64_t> max_len() const { return max_len_; }
  const Bpe& bpe() const { return *bpe_; }

  // For callers, such as the bindings, that convert symbols to tokens themselves.

  /// `text` must be well-formed UTF-8.
  Symbols encode_symbols(std::string_view text) const;
  /// Called with the symbols of the texts [first, last) in `rows[first]` to `rows[last - 1]`.
  using UseSymbols =
      std::function<void(std::size_t first, std::size_t last, const std::vector<Symbols>& rows)>;
  /// Finds the symbols of many texts. Calls `use` on the calling thread, in the order of the texts,
  /// while other threads continue.
  void encode_symbols_batch(const std::vector<std::string_view>& texts, std::size_t num_threads,
                            const UseSymbols& use) const;
  /// The symbols of one word, which is not split further; for GPT-2 in its byte alphabet.
  Symbols encode_word(std::string_view word) const;
  /// The id of a symbol; `unknown` is the string if the symbol is Bpe::kUnknown.
  std::int64_t id_of(Symbol symbol, std::string_view unknown) const;
  /// Replaces both tables of special tokens; one need not be the inverse of the other.
  void set_special_tables(const std::vector<Vocabulary::Entry>& ids,
                          const std::vector<Vocabulary::Entry>& tokens);
  /// The tokens of ids, concatenated.
  std::string join(const Ids& ids, bool skip_special_tokens) const;
  /// Turns concatenated tokens into text, which for GPT-2 need not be well-formed UTF-8.
  virtual std::string bytes_of(std::string_view joined) const = 0;

protected:
  BpeTokenizer(Bpe bpe, std::string end_of_word, std::optional<std::int64_t> max_len);
  BpeTokenizer(const BpeTokenizer&) = default;
  BpeTokenizer& operator=(const BpeTokenizer&) = default;

  /// Appends the symbols of well-formed UTF-8 text.
  virtual void append_symbols(std::string_view text, detail::BpeWorkspace& workspace,
                              Symbols& symbols) const = 0;
  /// Appends the offset of each symbol.
  virtual void append_offsets(std::string_view text, detail::BpeWorkspace& workspace,
                              std::vector<Offset>& offsets) const = 0;
  /// Appends the pieces of a word before any merge.
  virtual void append_pieces(std::string_view word, std::vector<Bpe::Piece>& pieces) const = 0;
  /// The string of a piece whose symbol is Bpe::kUnknown.
  virtual std::string unknown_text(std::string_view piece, bool ends_word) const = 0;

  /// Appends the symbols of one word, which must not be empty.
  void append_word(std::string_view word, detail::BpeWorkspace& workspace, Symbols& symbols) const;
  /// Appends the offsets of the same symbols; `sources` has, for each byte of the word, the index
  /// of its code point in the text.
  void append_word_offsets(std::string_view word, const std::uint32_t* sources,
                           detail::BpeWorkspace& workspace, std::vector<Offset>& offsets) const;
  /// Appends one piece for each code point of a word.
  void append_code_points(std::string_view word, std::vector<Bpe::Piece>& pieces) const;

private:
  template <typename Encode>
  auto encode_each(const std::vector<std::string_view>& texts, std::size_t num_threads,
                   Encode encode) const;
  Symbols encode_symbols(std::string_view text, detail::BpeWorkspace& workspace) const;
  template <typename UnknownText>
  void append_merged(std::string_view word, detail::BpeWorkspace& workspace, Symbols& symbols,
                     UnknownText unknown) const;
  std::optional<std::string_view> token_of_id(std::int64_t id, bool skip_special_tokens) const;
  Ids ids_of(const Symbols& symbols) const;

  std::shared_ptr<const Bpe> bpe_;
  std::shared_ptr<detail::BpeWorkspaces> workspaces_;
  std::string end_of_word_;
  std::optional<std::int64_t> max_len_;
  std::unordered_map<std::string, std::int64_t> special_ids_;
  std::unordered_map<std::int64_t, std::string> special_tokens_;
};

} // namespace ptbert
