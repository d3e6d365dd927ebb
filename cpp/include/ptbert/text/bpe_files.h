#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "ptbert/text/bpe.h"
#include "ptbert/text/line_reader.h"
#include "ptbert/text/vocabulary.h"

// The files of GPT and GPT-2: vocab.json, a flat object of tokens and ids; merges.txt, a first line
// that is ignored, then the two symbols of one merge per line, by rank; special_tokens.txt, one
// token per line.

namespace ptbert {

inline constexpr const char* kBpeVocabularyName = "vocab.json";
inline constexpr const char* kMergesName = "merges.txt";
inline constexpr const char* kSpecialTokensName = "special_tokens.txt";

/// Returns the tokens and ids of a JSON object in the order of the text. Throws FormatError, whose
/// message names `file`, unless `json` is an object of strings and integers in UTF-8.
std::vector<Vocabulary::Entry> parse_vocab_json(std::string_view json, const std::string& file);

/// Returns the merges of a text, as views into it. As in the 2019 library the first line and text
/// after the last newline are ignored, and a line without exactly two words takes up a rank but has
/// no effect. Throws FormatError, whose message names `file`, if the text is not UTF-8.
std::vector<Bpe::Merge> parse_merges(std::string_view text, const std::string& file);

/// Reads vocab.json and merges.txt. Throws FileError if one cannot be read, FormatError as above.
Bpe read_bpe(const std::filesystem::path& vocab_file, const std::filesystem::path& merges_file);

/// Writes a tokenizer's files to a directory. Throws FileError if one cannot be written.
void write_bpe_files(const std::filesystem::path& directory, const Bpe& bpe,
                     const std::vector<std::string>& special_tokens);

} // namespace ptbert
