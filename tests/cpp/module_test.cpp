#include "ptbert/models/module.h"

#include <string>
#include <thread>
#include <vector>

#include "ptbert/models/bert_heads.h"
#include "support.h"

namespace ptbert {
namespace {

class ModuleTest : public SeededTest {
protected:
  Tensor ids_ = random_ids({2, 5});
};

TEST_F(ModuleTest, OverrideReplacesTheCallOfAChild) {
  BertModel model(tiny_config());
  model->eval();
  const auto before = model->forward(ids_).pooled_output;
  auto& pooler = model->pooler;
  EXPECT_FALSE(pooler->overridden());
  pooler->set_override([](const Tensor& hidden_states) { return hidden_states.sum(1); });
  EXPECT_TRUE(pooler->overridden());
  const auto output = model->forward(ids_);
  expect_equal(output.pooled_output.detach(), output.encoded_layers.back().sum(1).detach());
  pooler->clear_override();
  EXPECT_FALSE(pooler->overridden());
  expect_equal(model->forward(ids_).pooled_output.detach(), before.detach());
}

TEST_F(ModuleTest, OverrideMayCallTheModuleItReplaces) {
  BertModel model(tiny_config());
  model->eval();
  int calls = 0;
  auto& attention = model->encoder->layer->items[1]->attention->self_attention;
  attention->set_override(
      [&, inner = attention.get()](const Tensor& x, const Tensor& mask, const Tensor& head_mask) {
        ++calls;
        auto output = inner->forward(x, mask, head_mask);
        output.hidden_states = 0 * output.hidden_states;
        return output;
      });
  model->forward(ids_);
  EXPECT_EQ(calls, 1);
}

TEST_F(ModuleTest, OverriddenEmbeddingTakesAnyIds) {
  BertModel model(tiny_config());
  model->embeddings->word_embeddings->set_override(
      [](const Tensor& ids) { return torch::zeros({ids.size(0), ids.size(1), 32}); });
  EXPECT_NO_THROW(model->forward(torch::full({2, 5}, 1000, torch::kLong)));
}

TEST_F(ModuleTest, UserCodeInAnyPartBelowExposesInternals) {
  BertModel model(tiny_config());
  EXPECT_FALSE(model->exposes_internals());
  auto& norm = model->encoder->layer->items[1]->output->layer_norm;
  norm->set_override([](const Tensor& x) { return x; });
  EXPECT_TRUE(model->exposes_internals());
  norm->clear_override();
  EXPECT_FALSE(model->exposes_internals());
  model->encoder->layer->items[0]->attention->self_attention->output_attentions = true;
  EXPECT_TRUE(model->exposes_internals());
}

TEST_F(ModuleTest, ErrorTellsTheInnermostModule) {
  BertModel model(tiny_config());
  auto& dense = model->pooler->dense;
  dense->bind("weight", torch::zeros({32, 31}));
  const auto message = [&] {
    try {
      model->forward(ids_);
    } catch (const c10::Error& error) {
      return std::string(error.what_without_backtrace());
    }
    return std::string();
  };
  EXPECT_TRUE(message().ends_with("(in ptbert::LinearImpl)")) << message();
  dense->set_path("pooler.dense");
  EXPECT_TRUE(message().ends_with("(in `pooler.dense`)")) << message();
}

TEST_F(ModuleTest, BindPointsAParameterAtAnotherTensor) {
  Linear linear(3, 2);
  const auto weight = torch::ones({2, 3}).requires_grad_();
  linear->bind("weight", weight);
  EXPECT_EQ(linear->named_parameters()["weight"].unsafeGetTensorImpl(),
            weight.unsafeGetTensorImpl());
  linear->bind("bias", {});
  expect_close(linear(torch::ones({1, 3})), torch::full({1, 2}, 3.0));
  linear(torch::ones({1, 3})).sum().backward();
  EXPECT_TRUE(weight.grad().defined());
  EXPECT_THROW(linear->bind("weights", weight), std::out_of_range);
}

TEST_F(ModuleTest, AttributesAreReadAtEveryCall) {
  BertModel model(tiny_config());
  *std::get<double*>(model->embeddings->dropout->attributes().at("p")) = 1;
  expect_close(model->embeddings(ids_, Tensor()), torch::zeros({2, 5, 32}));
  auto& intermediate = model->encoder->layer->items[0]->intermediate;
  *std::get<Activation*>(intermediate->attributes().at("intermediate_act_fn")) =
      [](const Tensor& x) { return x * 2; };
  const auto x = torch::randn({2, 5, 32});
  expect_close(intermediate(x), intermediate->dense(x) * 2);
}

TEST_F(ModuleTest, EveryModuleListsItsTensors) {
  BertForPreTraining model(tiny_config());
  size_t listed = 0;
  for (const auto& module : model->modules()) {
    if (const auto* node = dynamic_cast<Node*>(module.get()))
      listed += node->own_parameters().size();
  }
  EXPECT_EQ(listed, model->parameters().size());
}

/// A module with a buffer of each kind and with lists.
class ProbeImpl : public Module<ProbeImpl, Tensor(const Tensor&)> {
public:
  ProbeImpl() {
    own_buffer("scale", scale, torch::full({2}, 2.0));
    own_buffer("mask", mask, torch::ones({2}), /*persistent=*/false);
    layers = register_module("layers", ModuleList<Linear>(2, [](const auto& before) {
                               return Linear(2, static_cast<int64_t>(before.size()) + 1);
                             }));
    shifts = register_module(
        "shifts", ParameterList(std::vector<Tensor>{torch::ones({2}).requires_grad_(), Tensor()}));
  }
  Tensor forward(const Tensor& x) { return x * scale * mask + (*shifts)[0]; }

  Tensor scale, mask;
  ModuleList<Linear> layers{nullptr};
  ParameterList shifts{nullptr};
};
PTBERT_MODULE(Probe);

TEST_F(ModuleTest, BindPointsABufferAtAnotherTensor) {
  Probe probe;
  EXPECT_TRUE(probe->own_buffers().at("scale").persistent);
  EXPECT_FALSE(probe->own_buffers().at("mask").persistent);
  EXPECT_EQ(probe->named_buffers().size(), 2U);
  probe->bind("scale", torch::full({2}, 5.0));
  expect_close(probe(torch::ones({1, 2})), torch::full({1, 2}, 6.0));
  probe->to(torch::kDouble);
  EXPECT_EQ(probe->mask.scalar_type(), torch::kDouble);
}

TEST_F(ModuleTest, ListOfModulesGrowsAndShrinks) {
  Probe probe;
  auto& list = *probe->layers;
  EXPECT_EQ(list.items[1]->weight.size(0), 2);
  list.resize(3);
  EXPECT_EQ(probe->named_modules()["layers.2"], list.items[2].ptr());
  EXPECT_EQ(list.items[2]->weight.size(0), 3);
  list.items[2]->set_override([](const Tensor& x) { return x; });
  EXPECT_TRUE(probe->exposes_internals());
  list.resize(1);
  EXPECT_FALSE(probe->exposes_internals());
  EXPECT_EQ(probe->named_parameters().size(), 3U); // weight, bias and one shift
  EXPECT_THROW(list.bind("weight", Tensor()), c10::IndexError);
}

TEST_F(ModuleTest, ListOfParametersGrowsAndShrinks) {
  Probe probe;
  auto& list = *probe->shifts;
  EXPECT_EQ(list.size(), 2U);
  EXPECT_FALSE(list[1].defined());
  list.bind("1", torch::zeros({3}).requires_grad_());
  EXPECT_EQ(probe->named_parameters()["shifts.1"].size(0), 3);
  list.resize(3);
  EXPECT_FALSE(list[2].defined());
  list.resize(1);
  EXPECT_FALSE(probe->named_parameters().contains("shifts.1"));
  EXPECT_THROW(list.bind("1", Tensor()), std::out_of_range);
}

TEST_F(ModuleTest, HoldersShareTheirModule) {
  Linear linear(3, 2);
  Linear same = linear;
  EXPECT_EQ(same.get(), linear.get());
  EXPECT_TRUE(Linear(nullptr).is_empty());
}

TEST_F(ModuleTest, DefaultDeviceEndsWithItsScopeAndThread) {
  EXPECT_TRUE(DefaultDevice::current().is_cpu());
  {
    const DefaultDevice meta(torch::kMeta);
    EXPECT_TRUE(Linear(2, 2)->weight.is_meta());
    {
      const DefaultDevice cpu(torch::kCPU);
      EXPECT_TRUE(Linear(2, 2)->weight.is_cpu());
    }
    EXPECT_TRUE(DefaultDevice::current().is_meta());
    std::thread([] { EXPECT_TRUE(DefaultDevice::current().is_cpu()); }).join();
  }
  EXPECT_TRUE(Linear(2, 2)->weight.is_cpu());
}

} // namespace
} // namespace ptbert
