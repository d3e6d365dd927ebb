#include "ptbert/text/line_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

#include "ptbert/errors.h"
#include "ptbert/text/utf8.h"

namespace ptbert {
namespace {

constexpr std::size_t kBlockBytes = 1 << 20;

std::ifstream open_text_file(const std::filesystem::path& file, const std::string& argument) {
  const auto fail = [&](const std::string& rule, const std::string& fault, int code = ENOENT) {
    return FileError(
        "`" + argument + "` must be " + rule + ", but " + file.string() + " " + fault + ".", code);
  };
  std::error_code unknown; // for a file in a folder that may not be searched
  if (!std::filesystem::exists(file, unknown) && !unknown)
    throw fail("an existing file", "does not exist");
  if (std::filesystem::is_directory(file, unknown))
    throw fail("a file", "is a directory");
  std::ifstream stream(file, std::ios::binary);
  if (!stream)
    throw fail("readable", "is not", errno);
  return stream;
}

} // namespace

std::string read_text_file(const std::filesystem::path& file, const std::string& argument) {
  std::ifstream stream = open_text_file(file, argument);
  constexpr std::size_t kPart = 1 << 18; // read in parts: a pipe has no size
  std::string content;
  while (stream) {
    const std::size_t before = content.size();
    content.resize(before + kPart);
    stream.read(&content[before], kPart);
    content.resize(before + static_cast<std::size_t>(stream.gcount()));
  }
  if (stream.bad())
    throw FileError("`" + argument + "` must be readable, but " + file.string() + " is not.",
                    errno);
  return content;
}

void check_utf8_of_file(std::string_view content, const std::string& argument,
                        const std::string& file) {
  const std::size_t invalid = find_invalid_utf8(content);
  if (invalid != std::string_view::npos)
    throw FormatError("`" + argument + "` must be UTF-8, but byte " + std::to_string(invalid) +
                      " of " + file + " is not.");
}

bool take_line(std::string_view& text, std::string_view& line) {
  if (text.empty())
    return false;
  std::size_t end = 0;
  while (end < text.size() && text[end] != '\n' && text[end] != '\r')
    ++end;
  line = text.substr(0, end);
  const std::size_t terminator = text.substr(end, 2) == "\r\n" ? 2 : 1;
  text.remove_prefix(std::min(end + terminator, text.size()));
  return true;
}

void write_vocabulary_file(const std::filesystem::path& file, const std::string& content,
                           const std::string& rule) {
  std::ofstream stream(file, std::ios::binary);
  stream << content;
  stream.close();
  if (!stream)
    throw FileError(
        "`vocab_path` must be " + rule + ", but " + file.string() + " cannot be written.", errno);
}

LineReader::LineReader(std::filesystem::path file, std::string argument, ReadProgress progress)
    : file_(std::move(file)), argument_(std::move(argument)), progress_(std::move(progress)),
      stream_(open_text_file(file_, argument_)) {}

bool LineReader::next(std::string_view& line) {
  if (line_number_ == 0 && !at_end_) {
    read_block();
    begin_ = byte_order_mark_length(buffer_);
  }
  const std::size_t end = find_line_end();
  if (end == buffer_.size() && begin_ == end) // no text is left
    return false;
  ++line_number_;
  line = std::string_view(buffer_).substr(begin_, end - begin_);
  const std::string_view rest = std::string_view(buffer_).substr(end);
  begin_ = end + (rest.substr(0, 2) == "\r\n" ? 2 : std::min<std::size_t>(rest.size(), 1));
  check_utf8(line);
  return true;
}

/// Returns the end of the line that starts at begin_; reads as many blocks as needed.
std::size_t LineReader::find_line_end() {
  for (std::size_t searched = 0;;) {
    const std::string_view rest = std::string_view(buffer_).substr(begin_);
    const auto end = std::find_if(rest.begin() + static_cast<std::ptrdiff_t>(searched), rest.end(),
                                  [](char byte) { return byte == '\n' || byte == '\r'; });
    // A "\r" that ends the block may be half of a "\r\n".
    const bool found = end != rest.end() && (*end == '\n' || end + 1 != rest.end());
    searched = static_cast<std::size_t>(end - rest.begin());
    if (found || at_end_)
      return begin_ + searched;
    read_block();
  }
}

/// Moves the text that is not yet returned to the front of buffer_ and appends a block.
void LineReader::read_block() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  const std::size_t kept = buffer_.size();
  buffer_.resize(kept + kBlockBytes);
  stream_.read(buffer_.data() + kept, kBlockBytes);
  const auto count = static_cast<std::size_t>(stream_.gcount());
  buffer_.resize(kept + count);
  if (stream_.bad())
    throw FileError("`" + argument_ + "` must be readable, but reading " + file_.string() +
                        " failed after line " + std::to_string(line_number_) + ".",
                    errno);
  at_end_ = count < kBlockBytes;
  if (progress_)
    progress_(count);
}

void LineReader::check_utf8(std::string_view line) const {
  if (is_ascii(line))
    return;
  const std::size_t invalid = find_invalid_utf8(line);
  if (invalid == std::string_view::npos)
    return;
  char byte[5];
  std::snprintf(byte, sizeof byte, "0x%02X", static_cast<unsigned char>(line[invalid]));
  throw FormatError(message("be UTF-8", std::string("has the byte ") + byte + ", its number " +
                                            std::to_string(invalid + 1)));
}

std::string LineReader::message(const std::string& rule, const std::string& fault) const {
  return "`" + argument_ + "` must " + rule + ", but line " + std::to_string(line_number_) +
         " of " + file_.string() + " " + fault + ".";
}

bool is_ascii(std::string_view text) {
  std::uint64_t seen = 0;
  std::size_t position = 0;
  for (; position + sizeof seen <= text.size(); position += sizeof seen) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + position, sizeof word);
    seen |= word;
  }
  for (; position < text.size(); ++position)
    seen |= static_cast<unsigned char>(text[position]);
  return (seen & 0x8080808080808080) == 0;
}

} // namespace ptbert
