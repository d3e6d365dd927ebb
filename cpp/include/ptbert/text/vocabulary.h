#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/symbol_table.h"

namespace ptbert {

/// The default name of a BERT vocabulary in a model's directory.
inline constexpr const char* kVocabularyName = "vocab.txt";

/// The tokens of a model and their ids, in both directions.
class Vocabulary {
public:
  struct Entry {
    std::string token;
    std::int64_t id;
  };

  Vocabulary() = default;
  /// Keeps the order. If tokens repeat, the first gives the position and the last the id.
  explicit Vocabulary(std::vector<Entry> entries);

  /// Reads one token per line, stripped of white space at its ends; its id is the line's number
  /// from 0. Throws FileError if the file cannot be read, FormatError if it is empty or not UTF-8.
  static Vocabulary load(const std::filesystem::path& file);
  /// Writes one token per line in the order of ids. Loading the file gives the same ids only if
  /// is_consecutive().
  void save(const std::filesystem::path& file) const;

  bool contains(std::string_view token) const;
  /// Returns the id of a token; throws KeyError if it is not in the vocabulary.
  std::int64_t id(std::string_view token) const;
  /// Returns the token of an id; throws std::out_of_range if it is not in the vocabulary.
  const std::string& token(std::int64_t id) const;
  /// Whether the ids are 0, 1, 2, ... without gaps or repetitions.
  bool is_consecutive() const;

  std::size_t size() const { return entries_.size(); }
  const std::vector<Entry>& entries() const { return entries_; }
  /// The length of the longest token in bytes.
  std::size_t max_token_bytes() const { return max_token_bytes_; }

private:
  std::vector<Entry> entries_;
  SymbolTable positions_;            // the number of a token is its position in entries_
  std::vector<std::uint32_t> by_id_; // positions in the order of the ids
  std::size_t max_token_bytes_ = 0;
};

} // namespace ptbert
