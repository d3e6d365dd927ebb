#include "ptbert/text/vocabulary.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <functional>
#include <iterator>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "ptbert/errors.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

std::string read_file(const std::filesystem::path& file) {
  std::error_code unknown; // for a file in a folder that may not be searched
  if (!std::filesystem::exists(file, unknown) && !unknown) {
    throw FileError("`vocab_file` must be an existing file, but " + file.string() +
                    " does not exist.");
  }
  if (std::filesystem::is_directory(file, unknown)) {
    throw FileError("`vocab_file` must be a file, but " + file.string() + " is a directory.");
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw FileError("`vocab_file` must be readable, but " + file.string() + " is not.", errno);
  }
  std::ostringstream content;
  content << stream.rdbuf();
  return std::move(content).str();
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

/// Returns the lines of a text; "\n", "\r\n" and a lone "\r" end a line, as in Python's text mode.
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
  const auto is_visible_ascii = [](char byte) { return byte > ' ' && byte <= '~'; };
  if (!line.empty() && is_visible_ascii(line.front()) && is_visible_ascii(line.back())) {
    return std::string(line);
  }
  const std::u32string codes = decode_utf8(line);
  const auto first = std::find_if_not(codes.begin(), codes.end(), is_word_separator);
  const auto last =
      std::find_if_not(codes.rbegin(), std::make_reverse_iterator(first), is_word_separator).base();
  return encode_utf8(std::u32string(first, last));
}

} // namespace

Vocabulary::Vocabulary(std::vector<Entry> entries) {
  std::size_t slots = 16;
  while (slots < 2 * entries.size()) {
    slots *= 2;
  }
  slots_.assign(slots, kFree);
  entries_.reserve(entries.size());
  for (Entry& entry : entries) {
    std::uint32_t& slot = slots_[find_slot(entry.token)];
    if (slot != kFree) {
      entries_[slot].id = entry.id;
      continue;
    }
    slot = static_cast<std::uint32_t>(entries_.size());
    max_token_bytes_ = std::max(max_token_bytes_, entry.token.size());
    entries_.push_back(std::move(entry));
  }
  by_id_.resize(entries_.size());
  std::iota(by_id_.begin(), by_id_.end(), 0);
  std::stable_sort(by_id_.begin(), by_id_.end(), [&](std::uint32_t a, std::uint32_t b) {
    return entries_[a].id < entries_[b].id;
  });
}

Vocabulary Vocabulary::load(const std::filesystem::path& file) {
  const std::string content = read_file(file);
  check_content(content, file);
  std::vector<Entry> entries;
  const std::string_view text = std::string_view(content).substr(byte_order_mark_length(content));
  for (const std::string_view line : split_lines(text)) {
    entries.push_back({strip(line), static_cast<std::int64_t>(entries.size())});
  }
  return Vocabulary(std::move(entries));
}

void Vocabulary::save(const std::filesystem::path& file) const {
  std::ofstream stream(file, std::ios::binary);
  for (const std::uint32_t position : by_id_) {
    stream << entries_[position].token << '\n';
  }
  stream.close();
  if (!stream) {
    throw FileError("`vocab_path` must be a writable file or an existing directory, but " +
                        file.string() + " cannot be written.",
                    errno);
  }
}

bool Vocabulary::contains(std::string_view token) const {
  return !slots_.empty() && slots_[find_slot(token)] != kFree;
}

std::int64_t Vocabulary::id(std::string_view token) const {
  if (!contains(token)) {
    throw KeyError("`tokens` must be in the vocabulary of " + std::to_string(size()) +
                   " tokens, but \"" + std::string(token) + "\" is not.");
  }
  return entries_[slots_[find_slot(token)]].id;
}

const std::string& Vocabulary::token(std::int64_t id) const {
  // If several tokens have the id, the last one counts.
  const auto next =
      std::upper_bound(by_id_.begin(), by_id_.end(), id,
                       [&](std::int64_t i, std::uint32_t p) { return i < entries_[p].id; });
  if (next == by_id_.begin() || entries_[*std::prev(next)].id != id) {
    throw std::out_of_range("`ids` must be in the vocabulary of " + std::to_string(size()) +
                            " tokens, but " + std::to_string(id) + " is not.");
  }
  return entries_[*std::prev(next)].token;
}

bool Vocabulary::is_consecutive() const {
  for (std::size_t i = 0; i < by_id_.size(); ++i) {
    if (entries_[by_id_[i]].id != static_cast<std::int64_t>(i)) {
      return false;
    }
  }
  return true;
}

std::size_t Vocabulary::find_slot(std::string_view token) const {
  const std::size_t mask = slots_.size() - 1; // the size is a power of two
  std::size_t slot = std::hash<std::string_view>()(token) & mask;
  while (slots_[slot] != kFree && entries_[slots_[slot]].token != token) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

} // namespace ptbert
