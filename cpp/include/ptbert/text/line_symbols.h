#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/line_reader.h"
#include "ptbert/text/symbol_table.h"

// Lines of a corpus as symbols (words, for most corpora). A symbol is hashed once and then a
// number, so that what costs more per symbol is done once per different one.

namespace ptbert {

/// How a line becomes symbols.
struct LineFormat {
  bool lower_case = false;
  /// What separates symbols: white space where there is none, nothing where it is empty (every
  /// character is a symbol). Between two delimiters without text there is an empty symbol.
  std::optional<std::string> delimiter;
  /// Ends a line with <eos>.
  bool add_eos = false;
  /// Puts <S> on both ends of a line, and no <eos>.
  bool add_double_eos = false;
};

inline constexpr std::string_view kEos = "<eos>";
inline constexpr std::string_view kDoubleEos = "<S>";

/// Returns the symbols of a line, in this order: white space around it stripped, lower-cased,
/// split. std::invalid_argument where it is not UTF-8.
std::vector<std::string> split_line(std::string_view line, const LineFormat& format);

/// The symbols of a file and how often each occurs.
struct SymbolCounts {
  SymbolTable symbols;
  std::vector<std::int64_t> counts;
};

/// Counts the symbols of a file. FileError where it cannot be read, FormatError where it is not
/// UTF-8.
SymbolCounts count_symbols(const std::filesystem::path& path, const LineFormat& format,
                           const ReadProgress& progress = {});

/// The lines of a file as numbers of symbols.
struct IndexedLines {
  SymbolTable symbols;
  std::vector<std::uint32_t> indices; // of all lines, one after the other
  std::vector<std::size_t> line_ends; // in `indices`

  std::vector<std::int64_t> counts() const;
  /// Returns the number, from 1 on, of the first line with a symbol; 0 where none has it.
  std::size_t first_line_of(std::uint32_t index) const;
};

/// Reads the lines of a file. Errors as count_symbols.
IndexedLines index_lines(const std::filesystem::path& path, const LineFormat& format,
                         const ReadProgress& progress = {});

/// The same of lines in memory, by `num_threads` threads; 0: by as many as the machine runs at
/// once. std::invalid_argument where one is not UTF-8.
IndexedLines index_lines(const std::vector<std::string_view>& lines, const LineFormat& format,
                         std::size_t num_threads);

/// Reads the first word of every line, each different one once. FileError where the file cannot be
/// read, FormatError where a line is blank or not UTF-8.
SymbolTable read_first_words(const std::filesystem::path& vocab_file);

} // namespace ptbert
