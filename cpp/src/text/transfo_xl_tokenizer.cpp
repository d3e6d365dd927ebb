#include "ptbert/text/transfo_xl_tokenizer.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "mapped.h"
#include "parallel_for.h"
#include "ptbert/errors.h"

namespace ptbert {

TransfoXLTokenizer::TransfoXLTokenizer(TransfoXLTokenizerOptions options)
    : options_(std::move(options)) {}

void TransfoXLTokenizer::count_file(const std::filesystem::path& path, bool add_eos) {
  const SymbolCounts counted = count_symbols(path, format(add_eos, false));
  for (std::size_t i = 0; i < counted.counts.size(); ++i) {
    const std::uint32_t index = counter_.symbols.add(counted.symbols[i]);
    counter_.counts.resize(counter_.symbols.size());
    counter_.counts[index] += counted.counts[i];
  }
}

void TransfoXLTokenizer::build_vocab() {
  if (options_.vocab_file) {
    vocabulary_ = read_first_words(*options_.vocab_file);
    unknown_ = first_of({"<UNK>", "<unk>"});
    if (!unknown_) {
      throw FormatError("`vocab_file` must hold <unk> or <UNK>, but " +
                        options_.vocab_file->string() + " holds neither.");
    }
    return;
  }
  vocabulary_ = SymbolTable();
  for (const std::string& symbol : options_.special)
    vocabulary_.add(symbol);

  const std::vector<std::int64_t>& counts = counter_.counts;
  std::vector<std::size_t> order(counts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return counts[a] > counts[b]; });
  order.resize(std::min(order.size(), options_.max_size.value_or(order.size())));
  for (const std::size_t index : order) {
    if (counts[index] < options_.min_freq)
      break;
    vocabulary_.add(counter_.symbols[index]);
  }
  unknown_ = first_of({"<unk>", "<UNK>"});
}

void TransfoXLTokenizer::set_vocabulary(const std::vector<std::string>& symbols) {
  SymbolTable vocabulary(symbols.size());
  for (const std::string& symbol : symbols) {
    const std::size_t id = vocabulary.size();
    if (vocabulary.add(symbol) != id)
      throw FormatError("A vocabulary must hold every symbol once, but holds \"" + symbol +
                        "\" again as number " + std::to_string(id) + ".");
  }
  vocabulary_ = std::move(vocabulary);
  unknown_ = first_of({"<unk>", "<UNK>"});
}

std::vector<std::string> TransfoXLTokenizer::tokenize(std::string_view line, bool add_eos,
                                                      bool add_double_eos) const {
  return split_line(line, format(add_eos, add_double_eos));
}

std::int64_t TransfoXLTokenizer::id(std::string_view symbol) const {
  if (const auto id = find_id(symbol))
    return *id;
  throw KeyError("`symbol` must be in the vocabulary of " + std::to_string(size()) +
                 " symbols, which has no <unk>, but \"" + std::string(symbol) + "\" is not.");
}

std::string_view TransfoXLTokenizer::symbol(std::int64_t id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= size()) {
    throw std::out_of_range("`id` must be in the vocabulary of " + std::to_string(size()) +
                            " symbols, but is " + std::to_string(id) + ".");
  }
  return vocabulary_[static_cast<std::size_t>(id)];
}

std::vector<std::int64_t> TransfoXLTokenizer::encode(std::string_view line, bool add_eos,
                                                     bool add_double_eos) const {
  return detail::mapped(tokenize(line, add_eos, add_double_eos),
                        [&](const std::string& symbol) { return id(symbol); });
}

std::vector<std::vector<std::int64_t>>
TransfoXLTokenizer::encode_batch(const std::vector<std::string_view>& lines, bool add_eos,
                                 bool add_double_eos, std::size_t num_threads) const {
  std::vector<std::vector<std::int64_t>> ids(lines.size());
  detail::parallel_for(lines.size(), detail::thread_count(num_threads, lines),
                       [&](std::size_t i) { ids[i] = encode(lines[i], add_eos, add_double_eos); });
  return ids;
}

std::vector<std::int64_t> TransfoXLTokenizer::encode_file(const std::filesystem::path& path,
                                                          bool add_eos, bool add_double_eos) const {
  const IndexedLines lines = index_lines(path, format(add_eos, add_double_eos));
  std::vector<std::int64_t> ids_of_symbols;
  for (std::uint32_t index = 0; index < lines.symbols.size(); ++index) {
    const auto id = find_id(lines.symbols[index]);
    if (!id) {
      throw FormatError(
          "`path` must hold symbols of the vocabulary, which has no <unk>, but line " +
          std::to_string(lines.first_line_of(index)) + " of " + path.string() + " holds \"" +
          std::string(lines.symbols[index]) + "\".");
    }
    ids_of_symbols.push_back(*id);
  }
  return detail::mapped(lines.indices, [&](std::uint32_t index) { return ids_of_symbols[index]; });
}

LineFormat TransfoXLTokenizer::format(bool add_eos, bool add_double_eos) const {
  return {options_.lower_case, options_.delimiter, add_eos, add_double_eos};
}

std::optional<std::int64_t> TransfoXLTokenizer::find_id(std::string_view symbol) const {
  if (const auto index = vocabulary_.find(symbol))
    return *index;
  return unknown_;
}

std::optional<std::int64_t>
TransfoXLTokenizer::first_of(std::initializer_list<std::string_view> symbols) const {
  for (const std::string_view symbol : symbols) {
    if (const auto index = vocabulary_.find(symbol))
      return *index;
  }
  return std::nullopt;
}

} // namespace ptbert
