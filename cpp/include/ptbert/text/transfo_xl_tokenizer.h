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
  /// Symbols that get the first ids, whether they occur or not.
  std::vector<std::string> special;
  /// A rarer symbol is left out of the vocabulary.
  std::int64_t min_freq = 0;
  /// How many of the most frequent symbols are taken, special ones not counted.
  std::optional<std::size_t> max_size;
  bool lower_case = false;
  /// As LineFormat::delimiter.
  std::optional<std::string> delimiter;
  /// A file with one token a line, which is the vocabulary whatever was counted.
  std::optional<std::filesystem::path> vocab_file;
};

/// Transformer-XL's tokenizer: whole words, numbered by how often a corpus has them, as an adaptive
/// softmax wants them. First count_file, then build_vocab, then encode_file.
class TransfoXLTokenizer {
public:
  explicit TransfoXLTokenizer(TransfoXLTokenizerOptions options = {});

  /// Adds the symbols of a file to what is counted. Errors as count_symbols.
  void count_file(const std::filesystem::path& path, bool add_eos = false);
  /// Numbers the symbols anew: the special ones, then those counted from the most frequent one
  /// down, the first to appear before others as frequent; or those of the vocab_file. FormatError
  /// where that has a blank line or neither <unk> nor <UNK>.
  void build_vocab();

  /// Returns the symbols of a line. std::invalid_argument where it is not UTF-8.
  std::vector<std::string> tokenize(std::string_view line, bool add_eos = false,
                                    bool add_double_eos = false) const;
  /// Returns the ids of a line's symbols. Errors as `tokenize` and `id`.
  std::vector<std::int64_t> encode(std::string_view line, bool add_eos = false,
                                   bool add_double_eos = false) const;
  /// `encode` of many lines, by `num_threads` threads; 0: by as many as the machine runs at once.
  std::vector<std::vector<std::int64_t>> encode_batch(const std::vector<std::string_view>& lines,
                                                      bool add_eos = false,
                                                      bool add_double_eos = false,
                                                      std::size_t num_threads = 0) const;
  /// Returns the id of a symbol, or that of <unk> or <UNK> (of both, a vocab_file's is <UNK>);
  /// KeyError where there is neither.
  std::int64_t id(std::string_view symbol) const;
  /// Returns the symbol of an id; std::out_of_range for one that is not in the vocabulary.
  std::string_view symbol(std::int64_t id) const;
  /// Returns the ids of all lines of a file, one after the other. Errors as count_symbols;
  /// FormatError where a symbol has no id.
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
  std::optional<std::int64_t> unknown_; // the id of symbols without one
};

} // namespace ptbert
