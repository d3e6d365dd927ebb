#include "ptbert/models/bert_heads.h"

#include <set>

#include "support.h"

namespace ptbert {
namespace {

constexpr int64_t kBatch = 2;
constexpr int64_t kSeq = 5;
constexpr int64_t kChoices = 2;

Tensor labels(torch::IntArrayRef shape, int64_t classes) {
  return torch::randint(classes, shape, torch::kLong);
}

/// -log of the softmax at each label: [count, classes], [count] -> [count].
Tensor negative_log_likelihoods(const Tensor& logits, const Tensor& labels) {
  return -torch::log_softmax(logits, -1).gather(-1, labels.unsqueeze(-1)).squeeze(-1);
}

/// A model of the class `name` and a loss with random inputs and labels, for tests of all classes.
struct ModelAndLoss {
  std::shared_ptr<torch::nn::Module> model;
  Tensor loss;
};

template <typename Model, typename... Labels>
ModelAndLoss with_loss(Model model, const Tensor& ids, const Labels&... labels) {
  model->eval();
  return {model.ptr(), model->forward(ids, {}, {}, labels...).loss};
}

ModelAndLoss build(const std::string& name) {
  const auto config = tiny_config();
  const auto ids = random_ids({kBatch, kSeq});
  if (name == "BertModel") {
    BertModel model(config);
    model->eval();
    return {model.ptr(), model->forward(ids).pooled_output.square().sum()};
  }
  if (name == "BertForPreTraining") {
    return with_loss(BertForPreTraining(config), ids, labels({kBatch, kSeq}, 99),
                     labels({kBatch}, 2));
  }
  if (name == "BertForMaskedLM")
    return with_loss(BertForMaskedLM(config), ids, labels({kBatch, kSeq}, 99));
  if (name == "BertForNextSentencePrediction")
    return with_loss(BertForNextSentencePrediction(config), ids, labels({kBatch}, 2));
  if (name == "BertForSequenceClassification")
    return with_loss(BertForSequenceClassification(config, 3), ids, labels({kBatch}, 3));
  if (name == "BertForMultipleChoice") {
    return with_loss(BertForMultipleChoice(config, kChoices), random_ids({kBatch, kChoices, kSeq}),
                     labels({kBatch}, kChoices));
  }
  if (name == "BertForTokenClassification")
    return with_loss(BertForTokenClassification(config, 3), ids, labels({kBatch, kSeq}, 3));
  if (name == "BertForQuestionAnswering") {
    return with_loss(BertForQuestionAnswering(config), ids, labels({kBatch}, kSeq),
                     labels({kBatch}, kSeq));
  }
  throw std::invalid_argument(name);
}

class BertClassesTest : public SeededTest, public testing::WithParamInterface<const char*> {};

INSTANTIATE_TEST_SUITE_P(All, BertClassesTest,
                         testing::Values("BertModel", "BertForPreTraining", "BertForMaskedLM",
                                         "BertForNextSentencePrediction",
                                         "BertForSequenceClassification", "BertForMultipleChoice",
                                         "BertForTokenClassification", "BertForQuestionAnswering"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(BertClassesTest, HasTheNamesAndShapesOf2019) {
  const auto golden = read_golden("models.json");
  const auto& expected = golden.at("states").at(GetParam());
  const auto model = build(GetParam()).model;
  const auto parameters = model->named_parameters();
  EXPECT_EQ(parameters.size(), expected.size());
  EXPECT_EQ(model->buffers().size(), 0U);
  for (const auto& [name, shape] : expected.items()) {
    const auto* parameter = parameters.find(name);
    ASSERT_NE(parameter, nullptr) << name;
    EXPECT_EQ(parameter->sizes(), shape.get<std::vector<int64_t>>()) << name;
  }
}

TEST_P(BertClassesTest, GradientsReachEveryParameter) {
  const auto golden = read_golden("models.json");
  const auto unused = golden.at("without_gradient").at(GetParam()).get<std::set<std::string>>();
  const auto [model, loss] = build(GetParam());
  loss.backward();
  for (const auto& parameter : model->named_parameters()) {
    const auto& gradient = parameter.value().grad();
    EXPECT_EQ(gradient.defined(), unused.count(parameter.key()) == 0) << parameter.key();
    if (gradient.defined() && parameter.key().find("key.bias") == std::string::npos) {
      EXPECT_GT(gradient.norm().item<double>(), 0) << parameter.key();
    }
  }
}

class BertHeadsTest : public SeededTest {
protected:
  /// Weights large enough to give logits that differ.
  BertHeadsTest() { config_.initializer_range = 0.3; }

  BertConfig config_ = tiny_config();
  Tensor ids_ = random_ids({kBatch, kSeq});
};

TEST_F(BertHeadsTest, LossIsUndefinedWithoutLabels) {
  EXPECT_FALSE(BertForPreTraining(config_)->forward(ids_).loss.defined());
  EXPECT_FALSE(BertForPreTraining(config_)
                   ->forward(ids_, {}, {}, {}, labels({kBatch}, 2)) // one of two
                   .loss.defined());
  EXPECT_FALSE(BertForMaskedLM(config_)->forward(ids_).loss.defined());
  EXPECT_FALSE(BertForQuestionAnswering(config_)
                   ->forward(ids_, {}, {}, labels({kBatch}, kSeq))
                   .loss.defined());
}

TEST_F(BertHeadsTest, DecoderIsTheWordEmbedding) {
  BertForMaskedLM model(config_);
  const auto embedding = model->bert->embeddings->word_embeddings->weight;
  EXPECT_EQ(model->cls->predictions->decoder->weight.unsafeGetTensorImpl(),
            embedding.unsafeGetTensorImpl());
  torch::optim::SGD optimizer({embedding}, 0.1);
  model->forward(ids_, {}, {}, ids_).loss.backward();
  optimizer.step();
  expect_equal(model->cls->predictions->decoder->weight.detach(), embedding.detach());
}

TEST_F(BertHeadsTest, PreTrainingLossIsTheSumOfBoth) {
  BertForPreTraining model(config_);
  model->eval();
  auto tokens = labels({kBatch, kSeq}, 99);
  const auto next = torch::tensor({1, -1}, torch::kLong); // the second one is not counted
  tokens[0].fill_(-1);
  const auto scores = model->forward(ids_).scores;
  EXPECT_EQ(scores.prediction_scores.sizes(), (std::vector<int64_t>{kBatch, kSeq, 99}));
  const auto expected = negative_log_likelihoods(scores.prediction_scores[1], tokens[1]).mean() +
                        negative_log_likelihoods(scores.seq_relationship_score[0], next[0]);
  const auto output = model->forward(ids_, {}, {}, tokens, next);
  expect_close(output.loss, expected, 1e-5);
  EXPECT_FALSE(output.scores.prediction_scores.defined());
}

TEST_F(BertHeadsTest, MaskedLMLossCountsLabelledTokensOnly) {
  BertForMaskedLM model(config_);
  model->eval();
  auto tokens = torch::full({kBatch, kSeq}, -1, torch::kLong);
  tokens[1][3] = 42;
  const auto logits = model->forward(ids_).logits;
  const auto output = model->forward(ids_, {}, {}, tokens);
  expect_close(output.loss, -torch::log_softmax(logits[1][3], -1)[42], 1e-5);
  EXPECT_FALSE(output.logits.defined());
}

TEST_F(BertHeadsTest, NextSentenceLossIsACrossEntropy) {
  BertForNextSentencePrediction model(config_);
  model->eval();
  const auto next = torch::tensor({0, 1}, torch::kLong);
  const auto output = model->forward(ids_, {}, {}, next);
  expect_close(output.loss, negative_log_likelihoods(output.logits, next).mean(), 1e-5);
}

TEST_F(BertHeadsTest, SequenceClassificationLossIsACrossEntropy) {
  BertForSequenceClassification model(config_, 3);
  model->eval();
  const auto classes = torch::tensor({2, 0}, torch::kLong);
  const auto output = model->forward(ids_, {}, {}, classes);
  EXPECT_EQ(output.logits.sizes(), (std::vector<int64_t>{kBatch, 3}));
  expect_close(output.loss, negative_log_likelihoods(output.logits, classes).mean(), 1e-5);
  expect_equal(model->forward(ids_, {}, {}, classes.unsqueeze(1)).loss.detach(),
               output.loss.detach()); // [batch, 1] as well
}

TEST_F(BertHeadsTest, MultipleChoiceScoresEachChoiceOnItsOwn) {
  BertForMultipleChoice model(config_, 3);
  model->eval();
  const auto ids = random_ids({kBatch, 3, kSeq});
  const auto types = torch::randint(2, {kBatch, 3, kSeq}, torch::kLong);
  const auto choices = torch::tensor({2, 0}, torch::kLong);
  const auto output = model->forward(ids, types, torch::ones_like(ids), choices);
  EXPECT_EQ(output.logits.sizes(), (std::vector<int64_t>{kBatch, 3}));
  expect_close(output.loss, negative_log_likelihoods(output.logits, choices).mean(), 1e-5);
  const auto pooled =
      model->bert->forward(ids.select(1, 2), types.select(1, 2)).pooled_output; // third choices
  expect_close(output.logits.narrow(1, 2, 1), model->classifier(pooled), 1e-5);
}

TEST_F(BertHeadsTest, TokenClassificationLossCountsUnmaskedTokensOnly) {
  BertForTokenClassification model(config_, 4);
  model->eval();
  auto mask = torch::ones({kBatch, kSeq}, torch::kLong);
  mask[0].fill_(0);
  mask[0][0] = 1;
  auto classes = labels({kBatch, kSeq}, 4);
  classes[0][1] = 77; // masked, so that any value will do
  const auto logits = model->forward(ids_, {}, mask).logits;
  const auto counted = mask.eq(1);
  expect_close(model->forward(ids_, {}, mask, classes).loss,
               negative_log_likelihoods(logits.index({counted}), classes.index({counted})).mean(),
               1e-5);
}

TEST_F(BertHeadsTest, QuestionAnsweringLossIgnoresAnswersOutsideTheWindow) {
  BertForQuestionAnswering model(config_);
  model->eval();
  const auto starts = torch::tensor({1, 9}, torch::kLong);
  const auto ends = torch::tensor({-2, 3}, torch::kLong);
  const auto output = model->forward(ids_, {}, {}, starts, ends);
  const auto start_loss = negative_log_likelihoods(output.start_logits[0], starts[0]);
  const auto end_loss =
      negative_log_likelihoods(output.end_logits, torch::tensor({0, 3}, torch::kLong)).mean();
  expect_close(output.loss, (start_loss + end_loss) / 2, 1e-5);
  expect_equal(starts, torch::tensor({1, 9}, torch::kLong)); // the caller's tensors are left alone
}

TEST_F(BertHeadsTest, RejectLabelsThatBreakTheirRule) {
  BertForSequenceClassification classifier(config_, 3);
  const auto classify = [&](const Tensor& labels) {
    return [&classifier, this, labels] { classifier->forward(ids_, {}, {}, labels); };
  };
  EXPECT_EQ(message_of<c10::TypeError>(classify(torch::zeros({kBatch}))),
            "`labels` must be of dtype int64, but is float32.");
  EXPECT_EQ(message_of<c10::ValueError>(classify(torch::zeros({3}, torch::kLong))),
            "`labels` must be of shape [2], but is of shape [3].");
  EXPECT_EQ(message_of<c10::IndexError>(classify(torch::full({kBatch}, 3, torch::kLong))),
            "`labels` must be in [0, 3) or -100 (ignored), but holds 3.");
  EXPECT_EQ(message_of<c10::IndexError>([this] {
              BertForMaskedLM(config_)->forward(ids_, {}, {}, torch::full_like(ids_, -2));
            }),
            "`masked_lm_labels` must be in [0, 99) or -1 (ignored), but holds -2.");
  EXPECT_EQ(message_of<c10::ValueError>(
                [this] { BertForTokenClassification(config_)->forward(ids_, {}, {}, ids_[0]); }),
            "`labels` must be of the shape of `input_ids`, [2, 5], but is of shape [5].");
  EXPECT_EQ(message_of<c10::ValueError>([this] {
              const auto position = torch::zeros({1}, torch::kLong);
              BertForQuestionAnswering(config_)->forward(ids_, {}, {}, position, position);
            }),
            "`start_positions` must be of shape [2], but is of shape [1].");
}

TEST_F(BertHeadsTest, RejectChoicesAndCountsThatBreakTheirRule) {
  EXPECT_EQ(message_of<c10::ValueError>([this] { BertForMultipleChoice(config_)->forward(ids_); }),
            "`input_ids` must be of shape [batch, choices, seq] with 2 `num_choices`, but is of "
            "shape [2, 5].");
  EXPECT_EQ(message_of<c10::ValueError>([this] { BertForSequenceClassification(config_, 0); }),
            "`num_labels` must be at least 1, but is 0.");
  EXPECT_EQ(message_of<c10::ValueError>([this] { BertForMultipleChoice(config_, -1); }),
            "`num_choices` must be at least 1, but is -1.");
}

} // namespace
} // namespace ptbert
