#include "ptbert/files/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "ptbert/errors.h"
#include "ptbert/models/bert_heads.h"
#include "ptbert/models/loading.h"
#include "ptbert/models/transfo_xl.h"
#include "ptbert/text/bert_tokenizer.h"
#include "support.h"

namespace ptbert {
namespace {

const KeyMap& kBert = key_map("bert");

class CheckpointTest : public SeededTest {
protected:
  void SetUp() override {
    SeededTest::SetUp();
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) / (std::string("ptbert_") + test->name());
    std::filesystem::create_directories(folder_);
    path_ = (folder_ / "model.safetensors").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// Writes a safetensors file by hand.
  void write(const std::string& header, const std::string& data) const {
    write_file("model.safetensors", header, data);
  }
  void write_file(const std::string& name, const std::string& header,
                  const std::string& data) const {
    const uint64_t size = header.size();
    std::ofstream(folder_ / name, std::ios::binary)
        << std::string(reinterpret_cast<const char*>(&size), sizeof size) << header << data;
  }

  /// Writes a file with the float tensor `name` of one element.
  void write_shard(const std::string& shard, const std::string& name, float value) const {
    write_file(shard, R"({")" + name + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
               std::string(reinterpret_cast<const char*>(&value), sizeof value));
  }

  void write_index(const std::string& content) const {
    std::ofstream(folder_ / "model.safetensors.index.json") << content;
  }

  /// The error message for an index of this content.
  template <typename Error = FormatError> std::string message_of_index(const std::string& content) {
    write_index(content);
    return message_of<Error>([this] { load_checkpoint(folder_.string()); });
  }

  void write(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }

  std::string message() const {
    return message_of<FormatError>([this] { load_safetensors(path_); });
  }

  /// The error message for a file of one float tensor `w` with this entry and 16 bytes of data.
  std::string message_of_entry(const std::string& entry) const {
    write(R"({"w":)" + entry + "}", std::string(16, '\0'));
    return message();
  }

  std::string rule() const { return "The file " + path_ + " is not a whole safetensors file: "; }

  std::filesystem::path folder_;
  std::string path_;
};

template <typename Number> std::string bytes_of(const std::vector<Number>& numbers) {
  return std::string(reinterpret_cast<const char*>(numbers.data()),
                     numbers.size() * sizeof(Number));
}

NamedTensors parameters_of(const torch::nn::Module& model) {
  NamedTensors parameters;
  for (const auto& parameter : model.named_parameters())
    parameters.emplace_back(parameter.key(), parameter.value().detach());
  return parameters;
}

TEST_F(CheckpointTest, ReadsSafetensors) {
  write(R"({"__metadata__":{"format":"pt"},)"
        R"("b":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
        R"("a":{"dtype":"I64","shape":[],"data_offsets":[16,24]},)"
        R"("empty":{"dtype":"BF16","shape":[0,3],"data_offsets":[24,24]}}  )",
        bytes_of<float>({1, 2, 3, 4}) + bytes_of<int64_t>({-5}));
  const auto tensors = load_safetensors(path_);
  ASSERT_EQ(tensors.size(), 3U);
  EXPECT_EQ(tensors[0].first, "b"); // the order of the file
  expect_equal(tensors[0].second, torch::tensor({1.f, 2.f, 3.f, 4.f}).view({2, 2}));
  expect_equal(tensors[1].second, torch::tensor(-5, torch::kLong));
  EXPECT_EQ(tensors[2].second.sizes(), (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(tensors[2].second.scalar_type(), torch::kBFloat16);
}

TEST_F(CheckpointTest, ReadsMisalignedSafetensors) {
  write(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
        R"("w":{"dtype":"F64","shape":[2],"data_offsets":[1,17]}})",
        bytes_of<uint8_t>({7}) + bytes_of<double>({0.5, -3}));
  const auto tensors = load_safetensors(path_);
  expect_equal(tensors[1].second, torch::tensor({0.5, -3.0}, torch::kDouble));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensors[1].second.data_ptr()) % sizeof(double), 0U);
}

TEST_F(CheckpointTest, TensorsOutliveTheirFileAndNeverChangeIt) {
  const std::string header = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  write(header, bytes_of<float>({1, 2}));
  auto tensor = load_safetensors(path_)[0].second;
  tensor.fill_(9);
  expect_equal(load_safetensors(path_)[0].second, torch::tensor({1.f, 2.f}));
  std::filesystem::remove(path_);
  expect_equal(tensor, torch::tensor({9.f, 9.f}));
}

TEST_F(CheckpointTest, DamagedSafetensorsAreRefused) {
  write("");
  EXPECT_EQ(message(), rule() + "it has 0 bytes.");
  write("1234567");
  EXPECT_EQ(message(), rule() + "it has 7 bytes.");
  write(bytes_of<uint64_t>({3}) + "{}");
  EXPECT_EQ(message(), rule() + "its header would need 3 bytes.");
  write(bytes_of<uint64_t>({~uint64_t{0}}) + "{}");
  EXPECT_EQ(message(), rule() + "its header would need 18446744073709551615 bytes.");
  for (const auto* header : {"", "[]", "{", "{\"w\":", "\xff\xfe"}) {
    write(header, "");
    EXPECT_EQ(message(), rule() + "its header is not a JSON object.");
  }
  write(R"({"w":)" + std::string(100'000, '['), "");
  EXPECT_EQ(message(), rule() + "its header cannot be read, as it is nested more than 100 deep.");
}

TEST_F(CheckpointTest, EntriesThatDoNotFitAreRefused) {
  const auto reason = rule() + "tensor `w`: ";
  EXPECT_EQ(message_of_entry(R"({"dtype":"F32","shape":[4],"data_offsets":[0,16]})"),
            "nothing was thrown");
  for (const auto* offsets : {"[4,20]", "[16,0]", "[0,-1]", "[]", "[0,18446744073709551615]"}) {
    EXPECT_EQ(message_of_entry(R"({"dtype":"F32","shape":[4],"data_offsets":)" +
                               std::string(offsets) + "}"),
              reason + "its bytes lie outside of the file, which may be truncated.");
  }
  EXPECT_EQ(message_of_entry(R"({"dtype":"F32","shape":[3],"data_offsets":[0,16]})"),
            reason + "its shape needs 12 bytes, but it has 16.");
  EXPECT_EQ(
      message_of_entry(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]})"),
      reason + "its shape has an extent of 4611686018427387904.");
  EXPECT_EQ(message_of_entry(R"({"dtype":"F32","shape":[0,-1],"data_offsets":[0,0]})"),
            reason + "its shape has an extent of -1.");
  EXPECT_EQ(message_of_entry(R"({"dtype":"F4","shape":[4],"data_offsets":[0,16]})"),
            reason + "the dtype F4 is not supported.");
  for (const auto* entry : {"1", "{}", R"({"dtype":"F32","shape":"x","data_offsets":[0,16]})"})
    EXPECT_EQ(message_of_entry(entry).rfind(reason, 0), 0U) << entry;
}

TEST_F(CheckpointTest, MissingFileOrFolder) {
  const auto quoted = [](const std::string& path) { return std::string("`").append(path) + "` "; };
  const auto folder = folder_.string();
  EXPECT_EQ(message_of<FileError>([this] { load_safetensors(path_); }),
            quoted(path_) + "must be a file that can be read, but opening it fails: No such file "
                            "or directory.");
  EXPECT_EQ(message_of<FileError>([&] { load_safetensors(folder); }),
            quoted(folder) + "must be a regular file, but is not.");
  EXPECT_EQ(message_of<FileError>([&] { load_checkpoint(folder); }),
            quoted(folder) +
                "must hold model.safetensors or pytorch_model.bin, but holds neither.");
}

TEST_F(CheckpointTest, ErrorTellsWhyTheFileCannotBeOpened) {
  const auto code_of = [](const std::string& path) {
    try {
      load_safetensors(path);
    } catch (const FileError& error) {
      return error.code();
    }
    return 0;
  };
  EXPECT_EQ(code_of(path_), ENOENT);
  write("");
  EXPECT_EQ(code_of(path_ + "/model.safetensors"), ENOTDIR);
}

TEST_F(CheckpointTest, LoadsWithAndWithoutPrefix) {
  BertModel trunk(tiny_config());
  BertForSequenceClassification model(tiny_config());
  auto report = load_weights(parameters_of(*model), parameters_of(*trunk), kBert);
  EXPECT_EQ(report.missing, (std::vector<std::string>{"classifier.weight", "classifier.bias"}));
  EXPECT_TRUE(report.unused.empty());
  expect_equal(model->bert->pooler->dense->weight.detach(), trunk->pooler->dense->weight.detach());

  BertModel other(tiny_config());
  report = load_weights(parameters_of(*other), parameters_of(*model), kBert);
  EXPECT_TRUE(report.missing.empty());
  EXPECT_EQ(report.unused, (std::vector<std::string>{"classifier.weight", "classifier.bias"}));
  expect_equal(other->pooler->dense->weight.detach(), trunk->pooler->dense->weight.detach());
}

TEST_F(CheckpointTest, LoadsTensorFlowsNames) {
  BertEmbeddings embeddings(tiny_config());
  const auto report = load_weights(parameters_of(*embeddings),
                                   {{"LayerNorm.gamma", torch::full({32}, 2.0)},
                                    {"LayerNorm.beta", torch::full({32}, 3.0)},
                                    {"other.gamma", torch::ones({1})}},
                                   kBert);
  expect_close(embeddings->layer_norm->weight, torch::full({32}, 2.0));
  expect_close(embeddings->layer_norm->bias, torch::full({32}, 3.0));
  EXPECT_EQ(report.missing.size(), 3U);
  EXPECT_EQ(report.unused, std::vector<std::string>{"other.gamma"});
}

TEST_F(CheckpointTest, RenamesAndTransposesByTheRowsOfAFamily) {
  Linear linear(3, 2);
  const KeyMap rows{.prefix = "trunk.", .renames = {{"kernel", "weight", true}}, .ignored = {}};
  const auto kernel = torch::arange(6, torch::kFloat).view({3, 2});
  const auto report = load_weights(parameters_of(*linear), {{"trunk.kernel", kernel}}, rows);
  expect_equal(linear->weight.detach(), kernel.t());
  EXPECT_EQ(report.missing, std::vector<std::string>{"bias"});
}

TEST_F(CheckpointTest, EntriesWithoutWeightsAreNeitherMissingNorLeftOver) {
  Linear linear(1, 1);
  auto checkpoint = parameters_of(*linear);
  checkpoint.emplace_back("bert.embeddings.position_ids", torch::arange(3));
  EXPECT_TRUE(load_weights(parameters_of(*linear), checkpoint, kBert).unused.empty());
  auto model = parameters_of(*linear);
  model.emplace_back("embeddings.position_ids", torch::arange(3));
  EXPECT_TRUE(load_weights(model, parameters_of(*linear), kBert).missing.empty());
}

TEST_F(CheckpointTest, FamiliesAreKnownByName) {
  EXPECT_EQ(key_map("bert").prefix, "bert.");
  EXPECT_EQ(
      message_of<KeyError>([] { key_map("gpt3"); }),
      "`family` must be \"bert\", \"gpt2\", \"openai-gpt\" or \"transfo-xl\", but is \"gpt3\".");
}

TEST_F(CheckpointTest, PersistentBuffersAreLoaded) {
  write(R"({"inv_freq":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
        bytes_of<float>({7, 8}));
  PositionalEmbedding embedding(4);
  const auto report = load_pretrained(*embedding, folder_.string());
  EXPECT_TRUE(report.missing.empty() && report.unused.empty());
  expect_equal(embedding->inv_freq, torch::tensor({7.f, 8.f}));
}

TEST_F(CheckpointTest, TiedTensorsAreNotMissing) {
  BertForMaskedLM model(tiny_config());
  auto checkpoint = parameters_of(*model);
  std::erase_if(checkpoint,
                [](const auto& entry) { return entry.first == "cls.predictions.decoder.weight"; });
  EXPECT_TRUE(load_weights(parameters_of(*model), checkpoint, kBert).missing.empty());
}

TEST_F(CheckpointTest, EntriesOfOneTiedTensorMustBeEqual) {
  BertForMaskedLM model(tiny_config());
  auto checkpoint = parameters_of(*model);
  const auto decoder = std::find_if(checkpoint.begin(), checkpoint.end(), [](const auto& entry) {
    return entry.first == "cls.predictions.decoder.weight";
  });
  ASSERT_NE(decoder, checkpoint.end());
  const auto before = decoder->second.clone();
  decoder->second = before.clone();
  EXPECT_TRUE(load_weights(parameters_of(*model), checkpoint, kBert).unused.empty());
  decoder->second = before.to(torch::kDouble);
  EXPECT_TRUE(load_weights(parameters_of(*model), checkpoint, kBert).unused.empty());

  decoder->second = before + 1;
  EXPECT_EQ(
      message_of<FormatError>([&] { load_weights(parameters_of(*model), checkpoint, kBert); }),
      "`bert.embeddings.word_embeddings.weight` and `cls.predictions.decoder.weight` must be "
      "equal, as the model ties them, but differ in the checkpoint: it is of a model with "
      "untied weights.");
  expect_equal(model->bert->embeddings->word_embeddings->weight.detach(), before);

  const NamedTensors untied = {{"embeddings", before.clone()}, {"decoder", before.clone()}};
  load_weights(untied, {{"embeddings", before}, {"decoder", before + 1}}, kBert);
  expect_equal(untied[1].second, before + 1);
}

TEST_F(CheckpointTest, ConvertsDtypes) {
  Linear linear(2, 1);
  load_weights(parameters_of(*linear),
               {{"weight", torch::tensor({0.5, -2.0}).to(torch::kHalf).view({1, 2})},
                {"bias", torch::tensor({3.0}, torch::kDouble)}},
               kBert);
  expect_equal(linear->weight.detach(), torch::tensor({0.5f, -2.f}).view({1, 2}));
  expect_equal(linear->bias.detach(), torch::tensor({3.f}));
}

TEST_F(CheckpointTest, MismatchNamesEveryTensorAndCopiesNothing) {
  BertForSequenceClassification model(tiny_config(), 2);
  BertForSequenceClassification other(tiny_config(), 3);
  const auto before = model->bert->pooler->dense->weight.detach().clone();
  EXPECT_EQ(message_of<FormatError>(
                [&] { load_weights(parameters_of(*model), parameters_of(*other), kBert); }),
            "`classifier.weight` must be of shape [2, 32], but is of shape [3, 32] in the "
            "checkpoint.\n`classifier.bias` must be of shape [2], but is of shape [3] in the "
            "checkpoint.");
  expect_equal(model->bert->pooler->dense->weight.detach(), before);
}

TEST_F(CheckpointTest, LoadsAFineTunedFolderAndGivesItsLogits) {
  const auto folder = golden_folder() / "checkpoints/classifier";
  const auto golden = read_golden("checkpoints.json")["classifier"];
  BertForSequenceClassification model(BertConfig::from_json_file((folder / "config.json").string()),
                                      3);
  const auto report = load_pretrained(*model, folder.string());
  EXPECT_TRUE(report.missing.empty() && report.unused.empty());
  model->eval();

  const BertTokenizer tokenizer(folder / "vocab.txt");
  std::vector<std::string> tokens = {"[CLS]"};
  std::vector<int64_t> types = {0};
  for (size_t i = 0; i < 2; ++i) {
    auto pieces = tokenizer.tokenize(golden["texts"][i].get<std::string>());
    pieces.push_back("[SEP]");
    tokens.insert(tokens.end(), pieces.begin(), pieces.end());
    types.resize(tokens.size(), static_cast<int64_t>(i));
  }
  const auto ids = tokenizer.convert_tokens_to_ids(tokens);
  EXPECT_EQ(ids, golden["input_ids"].get<std::vector<int64_t>>());
  const auto logits =
      model->forward(torch::tensor(ids).unsqueeze(0), torch::tensor(types).unsqueeze(0)).logits;
  expect_close(logits[0], torch::tensor(golden["logits"].get<std::vector<double>>()), 1e-5);
}

TEST_F(CheckpointTest, SafetensorsComeBeforePytorchBin) {
  write(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", bytes_of<float>({1}));
  std::filesystem::copy_file(golden_folder() / "checkpoints/various.bin",
                             folder_ / "pytorch_model.bin");
  EXPECT_EQ(load_checkpoint(folder_.string()).size(), 1U);
  std::filesystem::remove(path_);
  EXPECT_EQ(load_checkpoint(folder_.string()).size(), 15U);
}

TEST_F(CheckpointTest, ShardsAreReadOnceEach) {
  write_shard("b.safetensors", "x", 1);
  const auto both = R"({"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                    R"("z":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},)"
                    R"("x":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
                    R"("tied":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  write_file("a.safetensors", both, bytes_of<float>({2, 3, 4}));
  write_index(R"({"metadata":{"total_size":12},"weight_map":)"
              R"({"x":"b.safetensors","y":"a.safetensors","z":"a.safetensors"}})");
  const auto tensors = load_checkpoint(folder_.string());
  ASSERT_EQ(tensors.size(), 4U);
  std::map<std::string, float> values;
  for (const auto& [name, tensor] : tensors)
    values[name] = tensor.item<float>();
  EXPECT_EQ(values, (std::map<std::string, float>{{"tied", 2}, {"x", 1}, {"y", 2}, {"z", 3}}));
}

TEST_F(CheckpointTest, OneFileComesBeforeItsShardsAndSafetensorsBeforePytorchBin) {
  const auto tensors_of = [this] { return load_checkpoint(folder_.string()); };
  std::filesystem::copy_file(golden_folder() / "checkpoints/various.bin", folder_ / "shard.bin");
  const auto index = R"({"weight_map":{")" +
                     load_pytorch_bin((folder_ / "shard.bin").string()).front().first +
                     R"(":"shard.bin"}})";
  std::ofstream(folder_ / "pytorch_model.bin.index.json") << index;
  EXPECT_EQ(tensors_of().size(), 15U);
  std::filesystem::copy_file(golden_folder() / "checkpoints/various.bin",
                             folder_ / "pytorch_model.bin");
  std::filesystem::remove(folder_ / "shard.bin"); // so that its index is invalid
  EXPECT_EQ(tensors_of().size(), 15U);
  write_shard("shard.safetensors", "x", 1);
  write_index(R"({"weight_map":{"x":"shard.safetensors"}})");
  EXPECT_EQ(tensors_of().front().first, "x");
  write_shard("model.safetensors", "y", 1);
  EXPECT_EQ(tensors_of().front().first, "y");
}

TEST_F(CheckpointTest, ShardThatIsMissingOrLacksAnEntryIsNamed) {
  const auto shard = (folder_ / "a.safetensors").string();
  const std::string index = R"({"weight_map":{"x":"a.safetensors"}})";
  EXPECT_EQ(message_of_index<FileError>(index),
            "`" + shard +
                "` must be a file that can be read, but opening it fails: No such file "
                "or directory.");
  write_shard("a.safetensors", "y", 1);
  EXPECT_EQ(message_of_index(index),
            "`" + shard +
                "` must hold `x`, as `model.safetensors.index.json` says, but does not. "
                "Download or save both again.");
}

TEST_F(CheckpointTest, InvalidIndexIsRefused) {
  const auto rule = "`" + path_ + ".index.json` must ";
  for (const auto* content :
       {"", "[]", "{", "{}", R"({"weight_map":["a"]})", R"({"weight_map":{}})"}) {
    EXPECT_EQ(message_of_index(content),
              rule + "hold a JSON object with the file of each weight under `weight_map`, but does "
                     "not. Download or save it again.");
  }
  EXPECT_EQ(message_of_index(R"({"weight_map":{"x":)" + std::string(100'000, '[')),
            rule + "hold a JSON object with the file of each weight under `weight_map`, but it is "
                   "nested more than 100 deep. Download or save it again.");
  for (const auto* shard : {R"("../x")", R"("/x")", R"("a/x")", R"("a\\x")", R"("..")", R"(".")",
                            R"("")", R"("x\u0000")", "3", "null"}) {
    EXPECT_EQ(message_of_index(R"({"weight_map":{"w":)" + std::string(shard) + "}}"),
              rule + "give each weight the name of a file beside it, but gives `w` " + shard + ".");
  }
}

} // namespace
} // namespace ptbert
