#pragma once

#include <torch/torch.h>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <variant>

namespace ptbert {

using torch::Tensor;

/// Elementwise function on hidden states, shape kept.
using Activation = std::function<Tensor(const Tensor&)>;

/// A plain member of a module that may be set from outside between two calls.
using Attribute = std::variant<double*, int64_t*, bool*, Activation*>;

/// The device on which modules allocate their parameters within a scope and thread; the CPU outside
/// of any scope. On `meta` parameters have shapes only and initialisation is skipped.
class DefaultDevice {
public:
  explicit DefaultDevice(torch::Device device);
  ~DefaultDevice();
  DefaultDevice(const DefaultDevice&) = delete;
  DefaultDevice& operator=(const DefaultDevice&) = delete;

  static torch::Device current();

private:
  torch::Device previous_;
};

/// What may be done to any module of ours from outside: point its parameters at other tensors and
/// set its attributes. The Python bridge is built on it.
class Node {
public:
  Node() = default;
  virtual ~Node() = default;

  /// Makes `tensor` the parameter `name`; an undefined tensor removes an optional one.
  virtual void bind(const std::string& name, Tensor tensor) = 0;

  /// Removes the override of this module, if any.
  virtual void clear_override() {}

  /// Whether the outside sees tensors that are neither input nor output of this module: by an
  /// override, by a foreign activation, or because it is told to keep some. BertModel and its parts
  /// answer for those below them, too.
  virtual bool observed() const { return foreign_activation_; }
  void set_foreign_activation(bool foreign) { foreign_activation_ = foreign; }

  /// Where the module stands in a larger tree, as "encoder.layer.0"; empty if that is not known.
  /// Errors name it.
  const std::string& path() const { return path_; }
  void set_path(std::string path) { path_ = std::move(path); }

  const std::map<std::string, Tensor*>& tensors() const { return tensors_; }
  const std::map<std::string, Attribute>& attributes() const { return attributes_; }

protected:
  std::map<std::string, Tensor*> tensors_;
  std::map<std::string, Attribute> attributes_;

private:
  bool foreign_activation_ = false;
  std::string path_;
};

/// A list of equal modules, registered as "0", "1", ..., whose length may be set from outside.
class ListNode {
public:
  virtual ~ListNode() = default;
  virtual void resize(size_t length) = 0;
};

/// The call of one signature that may be replaced from outside.
template <typename Signature> class Overridable {
public:
  void set_override(std::function<Signature> function) { override_ = std::move(function); }
  bool overridden() const { return static_cast<bool>(override_); }

protected:
  std::function<Signature> override_;
};

/// Whether any of `modules` is observed.
template <typename... Holders> bool any_observed(const Holders&... modules) {
  return (modules->observed() || ...);
}

/// Adds to an error of torch's own that it came from `module`, unless one further inside is told
/// already.
void add_origin(c10::Error& error, const torch::nn::Module& module);

template <typename Derived, typename Signature> class Module;

/// Base of every module: a torch::nn::Module (not a Cloneable, since a clone would tear tied
/// weights apart) whose parents reach it through call(), which runs the override where there is one
/// and Derived::forward otherwise.
template <typename Derived, typename R, typename... Args>
class Module<Derived, R(Args...)>
    : public torch::nn::Module, public Node, public Overridable<R(Args...)> {
public:
  R call(Args... args) {
    if (this->override_)
      return this->override_(args...);
    return locate_errors([&] { return static_cast<Derived*>(this)->forward(args...); });
  }

  void bind(const std::string& name, Tensor tensor) override {
    *tensors_.at(name) = tensor;
    this->parameters_[name] = std::move(tensor);
  }

  void clear_override() override { this->override_ = nullptr; }
  bool observed() const override { return this->overridden() || Node::observed(); }

protected:
  /// What `arithmetic` returns; an error of torch in it tells that it came from this module.
  template <typename Function> auto locate_errors(Function arithmetic) {
    try {
      return arithmetic();
    } catch (c10::Error& error) {
      add_origin(error, *this);
      throw;
    }
  }

  /// Registers `value` as the parameter `name`, kept in `member`.
  void own_parameter(const std::string& name, Tensor& member, Tensor value) {
    member = this->register_parameter(name, std::move(value));
    tensors_[name] = &member;
  }

  template <typename T> void own_attribute(const std::string& name, T& member) {
    attributes_[name] = &member;
  }
};

/// Shared ownership of a module, as torch::nn::ModuleHolder, calling it through Module::call.
template <typename Impl> class Holder : public torch::nn::ModuleHolder<Impl> {
public:
  using torch::nn::ModuleHolder<Impl>::ModuleHolder;

  template <typename... Args> auto operator()(Args&&... args) {
    return this->impl_->call(std::forward<Args>(args)...);
  }
};

} // namespace ptbert

/// Defines the holder `Name` of `NameImpl`, as TORCH_MODULE does.
#define PTBERT_MODULE(Name)                                                                        \
  class Name : public ::ptbert::Holder<Name##Impl> {                                               \
  public:                                                                                          \
    using ::ptbert::Holder<Name##Impl>::Holder;                                                    \
    using Impl = Name##Impl;                                                                       \
  }
