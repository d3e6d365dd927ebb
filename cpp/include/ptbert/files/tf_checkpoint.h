#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ptbert {

class MappedFile;

/// Bytes of a checkpoint: the number of their file, where in it, how many, and their masked
/// CRC-32C.
struct TfBytes {
  int64_t shard = 0;
  uint64_t offset = 0, size = 0;
  uint32_t checksum = 0;
};

/// A part of a partitioned variable: its first element is that at `start` of the whole.
struct TfPart {
  std::vector<int64_t> start, shape;
  TfBytes bytes;
};

/// A variable of a TensorFlow checkpoint, as the index describes it.
struct TfVariable {
  std::string name;
  /// TensorFlow's name of its type, such as "float32".
  std::string dtype;
  std::vector<int64_t> shape;
  TfBytes bytes;
  /// What it is saved in, in place of `bytes`, if it was made with a partitioner.
  std::vector<TfPart> parts;
};

/// A checkpoint in TensorFlow's V2 format: PREFIX.index, a sorted table of variables, and their
/// bytes in PREFIX.data-00000-of-00001 and so on (tensorflow/core/util/tensor_bundle). Reads it
/// without TensorFlow, and without torch.
class TfCheckpoint {
public:
  /// Reads the index. `path` is PREFIX, one of its files, a file `checkpoint`, or a folder with one
  /// checkpoint or with a file `checkpoint` that names the newest. Throws FileError when there is
  /// no such file, FormatError when the index is damaged, does not fit the files of bytes, is
  /// big-endian, or is of the older V1 format.
  explicit TfCheckpoint(const std::string& path);
  ~TfCheckpoint();

  /// PREFIX.
  const std::string& prefix() const { return prefix_; }
  /// In the order of their names.
  const std::vector<TfVariable>& variables() const { return variables_; }

  /// The bytes of one of `variables()`, in row-major order and little-endian, in a private mapping:
  /// writing to them does not change the file. Throws FormatError when they do not have the
  /// checksum that the index notes. Not for a variable in parts.
  char* data(const TfVariable& variable) const;
  /// The bytes of a variable that is saved in parts, put together. Throws as data() does.
  std::vector<char> joined(const TfVariable& variable) const;

private:
  void read_index();
  void read_header(std::string_view message);
  void open_shard(const std::string& name, const TfBytes& bytes);
  char* checked(const std::string& name, const TfBytes& bytes) const;
  std::string shard_path(int64_t shard) const;

  std::string prefix_;
  int64_t shard_count_ = 0;
  std::vector<TfVariable> variables_;
  std::map<int64_t, std::unique_ptr<MappedFile>> shards_; // those that variables are in
};

/// Writes a checkpoint in TensorFlow's V2 format, with one file of bytes. Every method throws
/// FileError when a file cannot be written.
class TfCheckpointWriter {
public:
  explicit TfCheckpointWriter(const std::string& prefix);

  /// Adds a variable with its bytes, in row-major order. Throws FormatError for a dtype that
  /// TensorFlow does not have, or a name that is there already.
  void add(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape,
           std::string_view bytes);

  /// Writes the index; nothing may be added afterwards.
  void finish();

private:
  std::string prefix_;
  std::ofstream data_;
  uint64_t position_ = 0;
  std::map<std::string, std::string> entries_;
};

/// Whether `path` names a TensorFlow checkpoint, in one of the ways that TfCheckpoint takes.
bool is_tf_checkpoint(const std::string& path);

} // namespace ptbert
