#include "ptbert/text/vocabulary.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "ptbert/errors.h"
#include "ptbert/text/line_reader.h"
#include "ptbert/text/unicode.h"
#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

std::string strip(std::string_view line) {
  const auto is_visible_ascii = [](char byte) { return byte > ' ' && byte <= '~'; };
  if (!line.empty() && is_visible_ascii(line.front()) && is_visible_ascii(line.back())) {
    return std::string(line);
  }
  return encode_utf8(strip_white_space(decode_utf8(line)));
}

} // namespace

Vocabulary::Vocabulary(std::vector<Entry> entries) : positions_(entries.size()) {
  entries_.reserve(entries.size());
  for (Entry& entry : entries) {
    const std::uint32_t position = positions_.add(entry.token);
    if (position < entries_.size()) {
      entries_[position].id = entry.id;
      continue;
    }
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
  const std::string content = read_text_file(file, "vocab_file");
  if (content.empty()) {
    throw FormatError("`vocab_file` must hold one token a line, but " + file.string() +
                      " is empty.");
  }
  check_utf8_of_file(content, "vocab_file", file.string());
  std::vector<Entry> entries;
  std::string_view text = std::string_view(content).substr(byte_order_mark_length(content));
  for (std::string_view line; take_line(text, line);) {
    entries.push_back({strip(line), static_cast<std::int64_t>(entries.size())});
  }
  return Vocabulary(std::move(entries));
}

void Vocabulary::save(const std::filesystem::path& file) const {
  std::string lines;
  for (const std::uint32_t position : by_id_) {
    lines.append(entries_[position].token).append("\n");
  }
  write_vocabulary_file(file, lines, "a writable file or an existing directory");
}

bool Vocabulary::contains(std::string_view token) const {
  return positions_.find(token).has_value();
}

std::int64_t Vocabulary::id(std::string_view token) const {
  const auto position = positions_.find(token);
  if (!position) {
    throw KeyError("`tokens` must be in the vocabulary of " + std::to_string(size()) +
                   " tokens, but \"" + std::string(token) + "\" is not.");
  }
  return entries_[*position].id;
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

} // namespace ptbert
