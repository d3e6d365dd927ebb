#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

namespace ptbert {

/// Told how many bytes more have been read, after every block of a file. May throw to end the work.
using ReadProgress = std::function<void(std::size_t bytes)>;

/// The lines of a UTF-8 text file, read block by block: a file may be larger than memory, as long
/// as its lines are not. "\n", "\r\n" and a lone "\r" end a line, as for a text file in Python.
class LineReader {
public:
  /// `argument` names the file in messages. FileError where it cannot be read.
  LineReader(std::filesystem::path file, std::string argument, ReadProgress progress = {});

  /// Sets `line` to the next line without its end, valid until the next call; false after the last
  /// one. FormatError where it is not UTF-8.
  bool next(std::string_view& line);
  /// Returns the number of the last line, from 1 on.
  std::size_t line_number() const { return line_number_; }
  /// Returns a message for the last line: "`argument` must `rule`, but line 3 of FILE `fault`."
  std::string message(const std::string& rule, const std::string& fault) const;

private:
  std::size_t find_line_end();
  void read_block();
  void check_utf8(std::string_view line) const;

  std::filesystem::path file_;
  std::string argument_;
  ReadProgress progress_;
  std::ifstream stream_;
  std::string buffer_;    // what is read and not yet returned starts at begin_
  std::size_t begin_ = 0; // in buffer_
  std::size_t line_number_ = 0;
  bool at_end_ = false; // of the file
};

/// Whether all bytes are below 0x80.
bool is_ascii(std::string_view text);

} // namespace ptbert
