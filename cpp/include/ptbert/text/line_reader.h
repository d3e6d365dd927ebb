#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

namespace ptbert {

/// Returns the content of a file, which `argument` names in messages. Throws FileError if it cannot
/// be read.
std::string read_text_file(const std::filesystem::path& file, const std::string& argument);

/// Throws FormatError if the content of a file is not UTF-8.
void check_utf8_of_file(std::string_view content, const std::string& argument,
                        const std::string& file);

/// Removes the first line, with its end ("\n", "\r\n" or a lone "\r", as in Python's text mode),
/// from a text. The last line may lack an end. Returns false if no text is left.
bool take_line(std::string_view& text, std::string_view& line);

/// Writes a file. Throws FileError if it cannot be written: "`vocab_path` must be `rule`, but ...".
void write_vocabulary_file(const std::filesystem::path& file, const std::string& content,
                           const std::string& rule);

/// Called after every block of a file with the number of bytes in it. May throw to stop reading.
using ReadProgress = std::function<void(std::size_t bytes)>;

/// Reads the lines of a UTF-8 text file block by block, so that only single lines must fit into
/// memory. Lines end as in take_line().
class LineReader {
public:
  /// `argument` names the file in messages. Throws FileError if it cannot be read.
  LineReader(std::filesystem::path file, std::string argument, ReadProgress progress = {});

  /// Sets `line` to the next line without its line end, valid until the next call; returns false
  /// after the last line. Throws FormatError if the line is not UTF-8.
  bool next(std::string_view& line);
  /// Returns a message about the line that next() returned last: "`argument` must `rule`, but line
  /// 3 of FILE `fault`."
  std::string message(const std::string& rule, const std::string& fault) const;

private:
  std::size_t find_line_end();
  void read_block();
  void check_utf8(std::string_view line) const;

  std::filesystem::path file_;
  std::string argument_;
  ReadProgress progress_;
  std::ifstream stream_;
  std::string buffer_;
  std::size_t begin_ = 0; // of the text in buffer_ that is not yet returned
  std::size_t line_number_ = 0;
  bool at_end_ = false; // of the file
};

/// Whether all bytes are below 0x80.
bool is_ascii(std::string_view text);

} // namespace ptbert
