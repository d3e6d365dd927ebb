#include "ptbert/text/vocabulary.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "ptbert/errors.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

std::string read_file(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) {
    throw FileError("`vocab_file` must be an existing file, but " + file.string() +
                    " does not exist.");
  }
  if (std::filesystem::is_directory(file)) {
    throw FileError("`vocab_file` must be a file, but " + file.string() + " is a directory.");
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw FileError("`vocab_file` must be readable, but " + file.string() + " is not.");
  }
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

void check_content(const std::string& content, const std::filesystem::path& file) {
  if (content.empty()) {
    throw FormatError("`vocab_file` must hold one token a line, but " + file.string() +
                      " is empty.");
  }
  const std::size_t invalid = find_invalid_utf8(content);
  if (invalid != std::string::npos) {
    throw FormatError("`vocab_file` must be UTF-8, but byte " + std::to_string(invalid) + " of " +
                      file.string() + " is not.");
  }
}

/// Returns the lines of a text; "\n", "\r\n" and a lone "\r" end one, as for a text file in Python.
std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    lines.push_back(text.substr(0, end));
    const std::size_t terminator = text.substr(end, 2) == "\r\n" ? 2 : 1;
    text.remove_prefix(std::min(end + terminator, text.size()));
  }
  return lines;
}

std::string strip(std::string_view line) {
  const std::u32string codes = decode_utf8(line);
  const auto first = std::find_if_not(codes.begin(), codes.end(), is_word_separator);
  const auto last =
      std::find_if_not(codes.rbegin(), std::make_reverse_iterator(first), is_word_separator).base();
  return encode_utf8(std::u32string(first, last));
}

} // namespace

Vocabulary::Vocabulary(std::vector<Entry> entries) {
  positions_.reserve(entries.size());
  for (Entry& entry : entries) {
    const auto [position, added] = positions_.try_emplace(entry.token, entries_.size());
    if (added) {
      max_token_bytes_ = std::max(max_token_bytes_, entry.token.size());
      entries_.push_back(std::move(entry));
    } else {
      entries_[position->second].id = entry.id;
    }
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    positions_of_ids_.insert_or_assign(entries_[i].id, i);
  }
}

Vocabulary Vocabulary::load(const std::filesystem::path& file) {
  const std::string content = read_file(file);
  check_content(content, file);
  std::vector<Entry> entries;
  for (const std::string_view line : split_lines(content)) {
    entries.push_back({strip(line), static_cast<std::int64_t>(entries.size())});
  }
  return Vocabulary(std::move(entries));
}

void Vocabulary::save(const std::filesystem::path& file) const {
  std::ofstream stream(file, std::ios::binary);
  for (const Entry& entry : by_id()) {
    stream << entry.token << '\n';
  }
  stream.close();
  if (!stream) {
    throw FileError("`vocab_path` must be a writable file or an existing directory, but " +
                    file.string() + " cannot be written.");
  }
}

bool Vocabulary::contains(std::string_view token) const {
  return positions_.find(token) != positions_.end();
}

std::int64_t Vocabulary::id(std::string_view token) const {
  const auto found = positions_.find(token);
  if (found == positions_.end()) {
    throw KeyError("`tokens` must be in the vocabulary of " + std::to_string(size()) +
                   " tokens, but \"" + std::string(token) + "\" is not.");
  }
  return entries_[found->second].id;
}

const std::string& Vocabulary::token(std::int64_t id) const {
  const auto found = positions_of_ids_.find(id);
  if (found == positions_of_ids_.end()) {
    throw std::out_of_range("`ids` must be in the vocabulary of " + std::to_string(size()) +
                            " tokens, but " + std::to_string(id) + " is not.");
  }
  return entries_[found->second].token;
}

bool Vocabulary::is_consecutive() const {
  const std::vector<Entry> sorted = by_id();
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i].id != static_cast<std::int64_t>(i)) {
      return false;
    }
  }
  return true;
}

std::vector<Vocabulary::Entry> Vocabulary::by_id() const {
  std::vector<Entry> sorted = entries_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Entry& a, const Entry& b) { return a.id < b.id; });
  return sorted;
}

} // namespace ptbert
