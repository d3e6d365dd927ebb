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

// Lines of a corpus as symbols (words, for most corpora). Each occurrence is hashed once and then
// handled as a number, so that expensive work is done once per distinct symbol.

namespace ptbert {

/// How a line is split into symbols.
struct LineFormat {
  bool lower_case = false;
  /// What separates symbols; std::nullopt: runs of white space; empty: every character is a symbol.
  /// Two delimiters in a row give an empty symbol.
  std::optional<std::string> delimiter;
  /// Append <eos> to each line.
  bool add_eos = false;
  /// Put <S> at both ends of each line, and no <eos>.
  bool add_double_eos = false;
};

inline constexpr std::string_view kEos = "<eos>";
inline constexpr std::string_view kDoubleEos = "<S>";

/// Returns the symbols of a line, which is stripped of white space at its ends, lower-cased, and
/// split, in this order. Throws std::invalid_argument if it is not UTF-8.
std::vector<std::string> split_line(std::string_view line, const LineFormat& format);

/// The symbols of a file and how often each occurs.
struct SymbolCounts {
  SymbolTable symbols;
  std::vector<std::int64_t> counts;
};

/// Counts the symbols of a file. Throws FileError if it cannot be read, FormatError if it is not
/// UTF-8.
SymbolCounts count_symbols(const std::filesystem::path& path, const LineFormat& format,
                           const ReadProgress& progress = {});

/// The lines of a file as indices into a table of symbols.
struct IndexedLines {
  SymbolTable symbols;
  std::vector<std::uint32_t> indices; // of all lines, one after the other
  std::vector<std::size_t> line_ends; // in `indices`

  std::vector<std::int64_t> counts() const;
  /// Returns the number (from 1) of the first line that contains a symbol; 0 if none does.
  std::size_t first_line_of(std::uint32_t index) const;
};

/// Reads the lines of a file. Errors as count_symbols.
IndexedLines index_lines(const std::filesystem::path& path, const LineFormat& format,
                         const ReadProgress& progress = {});

/// The same for lines in memory, on `num_threads` threads (0: all processors). Throws
/// std::invalid_argument if a line is not UTF-8.
IndexedLines index_lines(const std::vector<std::string_view>& lines, const LineFormat& format,
                         std::size_t num_threads);

/// Reads the first word of every line; repeated words count once. Throws FileError if the file
/// cannot be read, FormatError if a line is blank or not UTF-8.
SymbolTable read_first_words(const std::filesystem::path& vocab_file);

} // namespace ptbert
