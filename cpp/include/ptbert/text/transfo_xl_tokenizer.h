#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/line_symbols.h"
#include "ptbert/text/symbol_table.h"

namespace ptbert {

/// The constructor arguments of TransfoXLTokenizer.
struct TransfoXLTokenizerOptions {
  /// Symbols that get the first ids, whether or not they occur in the corpus.
  std::vector<std::string> special;
  /// Symbols with a lower count are left out of the vocabulary.
  std::int64_t min_freq = 0;
  /// The number of most frequent symbols to take, in addition to the special ones; default all.
  std::optional<std::size_t> max_size;
  bool lower_case = false;
  /// As LineFormat::delimiter.
  std::optional<std::string> delimiter;
  /// A file with one token per line. If given, it is the vocabulary and counts are ignored.
  std::optional<std::filesystem::path> vocab_file;
};

/// Transformer-XL's tokenizer: whole words, numbered by decreasing frequency, as adaptive softmax
/// needs them. Call count_file(), then build_vocab(), then encode_file().
class TransfoXLTokenizer {
public:
  explicit TransfoXLTokenizer(TransfoXLTokenizerOptions options = {});

  /// Adds the symbols of a file to the counts. Throws as count_symbols() does.
  void count_file(const std::filesystem::path& path, bool add_eos = false);
  /// Replaces the vocabulary: special symbols, then counted ones by decreasing frequency (ties in
  /// order of appearance); or the content of `vocab_file`. Throws FormatError if that file has a
  /// blank line or neither <unk> nor <UNK>.
  void build_vocab();
  /// Replaces the vocabulary: each symbol's id is its place. Throws FormatError if one occurs
  /// twice.
  void set_vocabulary(const std::vector<std::string>& symbols);

  /// Returns the symbols of a line. Throws std::invalid_argument if it is not UTF-8.
  std::vector<std::string> tokenize(std::string_view line, bool add_eos = false,
                                    bool add_double_eos = false) const;
  /// Returns the ids of a line's symbols. Throws as tokenize() and id() do.
  std::vector<std::int64_t> encode(std::string_view line, bool add_eos = false,
                                   bool add_double_eos = false) const;
  /// encode() for many lines on `num_threads` threads (0: all processors).
  std::vector<std::vector<std::int64_t>> encode_batch(const std::vector<std::string_view>& lines,
                                                      bool add_eos = false,
                                                      bool add_double_eos = false,
                                                      std::size_t num_threads = 0) const;
  /// Returns the id of a symbol, or of <unk> or <UNK> if it is unknown (if both exist: <UNK> with a
  /// `vocab_file`, else <unk>). Throws KeyError if there is neither.
  std::int64_t id(std::string_view symbol) const;
  /// Returns the symbol of an id; throws std::out_of_range if it is not in the vocabulary.
  std::string_view symbol(std::int64_t id) const;
  /// Returns the ids of all lines of a file, concatenated. Throws as count_symbols() does, and
  /// FormatError if a symbol has no id.
  std::vector<std::int64_t> encode_file(const std::filesystem::path& path, bool add_eos = true,
                                        bool add_double_eos = false) const;
  /// Returns the size of the vocabulary.
  std::size_t size() const { return vocabulary_.size(); }

private:
  LineFormat format(bool add_eos, bool add_double_eos) const;
  std::optional<std::int64_t> find_id(std::string_view symbol) const;
  /// Returns the id of the first of some symbols that is in the vocabulary.
  std::optional<std::int64_t> first_of(std::initializer_list<std::string_view> symbols) const;

  TransfoXLTokenizerOptions options_;
  SymbolCounts counter_;
  SymbolTable vocabulary_;              // a symbol's number is its id
  std::optional<std::int64_t> unknown_; // the id for symbols that are not in the vocabulary
};

} // namespace ptbert
