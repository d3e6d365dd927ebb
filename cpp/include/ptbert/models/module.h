#pragma once

#include <torch/torch.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace ptbert {

using torch::Tensor;

/// Elementwise function on hidden states, shape kept.
using Activation = std::function<Tensor(const Tensor&)>;

/// A pointer to a member that is not a tensor; the bridge sets it between two calls.
using Attribute = std::variant<double*, int64_t*, bool*, Activation*>;

/// A member tensor that is not trained. A persistent one is saved in checkpoints.
struct Buffer {
  Tensor* tensor;
  bool persistent;
};

/// While an instance lives, modules made in its thread allocate their parameters on `device`; the
/// default is the CPU. On `meta` parameters have shapes only and initialisation is skipped.
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

/// The interface through which the Python bridge handles any module of this library: it replaces
/// tensors, sets attributes and clears overrides.
class Node {
public:
  Node() = default;
  virtual ~Node() = default;

  /// Makes `tensor` the parameter or buffer `name`; an undefined tensor removes an optional one.
  /// torch's named_parameters() follows, but named_buffers() keeps returning the registered buffer.
  virtual void bind(const std::string& name, Tensor tensor) = 0;

  /// Removes the override of this module, if any.
  virtual void clear_override() {}

  /// Whether user code (an override, a Python activation, kept outputs) can see intermediate
  /// tensors of this module or of one below it. Fast paths need false: they skip some of them.
  virtual bool exposes_internals() const;
  void set_has_user_activation(bool value) { has_user_activation_ = value; }

  /// For a trunk the name of its family, such as "bert", which selects the key map for its
  /// checkpoints; empty for other modules.
  virtual std::string family() const { return ""; }

  /// Path in a larger tree for error messages, such as "encoder.layer.0"; empty if unknown.
  const std::string& path() const { return path_; }
  void set_path(std::string path) { path_ = std::move(path); }

  const std::map<std::string, Tensor*>& own_parameters() const { return own_parameters_; }
  const std::map<std::string, Buffer>& own_buffers() const { return own_buffers_; }
  const std::map<std::string, Attribute>& attributes() const { return attributes_; }

protected:
  std::map<std::string, Tensor*> own_parameters_;
  std::map<std::string, Buffer> own_buffers_;
  std::map<std::string, Attribute> attributes_;
  std::vector<std::shared_ptr<const Node>> child_nodes_;

private:
  bool has_user_activation_ = false;
  std::string path_;
};

/// A list of modules, registered as "0", "1", ..., whose length the bridge may set. The list itself
/// is never called.
class ListNode : public Node {
public:
  virtual void resize(size_t length) = 0;
  void bind(const std::string& name, Tensor tensor) override;
};

/// A call that an override replaces: a function that the bridge sets to call a Python node instead.
template <typename Signature> class Overridable {
public:
  void set_override(std::function<Signature> function) { override_ = std::move(function); }
  bool overridden() const { return static_cast<bool>(override_); }

protected:
  std::function<Signature> override_;
};

/// Adds the path of `module` to an error raised inside torch, unless the error already names a
/// module below it.
void add_origin(c10::Error& error, const torch::nn::Module& module);

template <typename Derived, typename Signature> class Module;

/// Base of every module: a torch::nn::Module whose parents use call(), which runs the override if
/// one is set and Derived::forward otherwise. Not a Cloneable, since clone() would untie weights.
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
    if (const auto buffer = own_buffers_.find(name); buffer != own_buffers_.end()) {
      *buffer->second.tensor = std::move(tensor);
      return;
    }
    *own_parameters_.at(name) = tensor;
    this->parameters_[name] = std::move(tensor);
  }

  void clear_override() override { this->override_ = nullptr; }
  bool exposes_internals() const override {
    return this->overridden() || Node::exposes_internals();
  }

protected:
  /// Returns arithmetic(); errors that torch raises in it get the path of this module.
  template <typename Function> auto locate_errors(Function arithmetic) {
    try {
      return arithmetic();
    } catch (c10::Error& error) {
      add_origin(error, *this);
      throw;
    }
  }

  /// As torch's register_module(); exposes_internals() also asks the children registered here.
  template <typename Child>
  std::shared_ptr<Child> register_module(const std::string& name,
                                         torch::nn::ModuleHolder<Child> child) {
    child_nodes_.push_back(child.ptr());
    return torch::nn::Module::register_module(name, std::move(child));
  }

  /// Registers `value` as the parameter `name`, kept in `member`.
  void own_parameter(const std::string& name, Tensor& member, Tensor value) {
    member = this->register_parameter(name, std::move(value));
    own_parameters_[name] = &member;
  }

  /// Registers `value` as the buffer `name`, kept in `member`.
  void own_buffer(const std::string& name, Tensor& member, Tensor value, bool persistent = true) {
    member = this->register_buffer(name, std::move(value));
    own_buffers_[name] = {&member, persistent};
  }

  template <typename T> void own_attribute(const std::string& name, T& member) {
    attributes_[name] = &member;
  }
};

/// A torch::nn::ModuleHolder whose operator() goes through Module::call and so honours overrides.
template <typename Impl> class Holder : public torch::nn::ModuleHolder<Impl> {
public:
  using torch::nn::ModuleHolder<Impl>::ModuleHolder;

  template <typename... Args> auto operator()(Args&&... args) {
    return this->impl_->call(std::forward<Args>(args)...);
  }
};

/// A list of modules of one class, nn.ModuleList in Python.
template <typename Item> class ModuleListImpl : public torch::nn::Module, public ListNode {
public:
  /// Makes the next item, given those before it.
  using Make = std::function<Item(const std::vector<Item>&)>;

  ModuleListImpl(size_t length, Make make) : make_(std::move(make)) { resize(length); }

  void resize(size_t length) override {
    for (; items.size() > length; items.pop_back()) {
      unregister_module(std::to_string(items.size() - 1));
      child_nodes_.pop_back();
    }
    while (items.size() < length) {
      const Item item = make_(items);
      child_nodes_.push_back(item.ptr());
      register_module(std::to_string(items.size()), item.ptr());
      items.push_back(item);
    }
  }

  /// Changed by resize() only.
  std::vector<Item> items;

private:
  Make make_;
};
template <typename Item> using ModuleList = torch::nn::ModuleHolder<ModuleListImpl<Item>>;

/// A list of parameters, registered as "0", "1", ..., nn.ParameterList in Python. None in Python is
/// an undefined tensor here.
class ParameterListImpl : public torch::nn::Module, public ListNode {
public:
  explicit ParameterListImpl(std::vector<Tensor> parameters = {});

  void resize(size_t length) override;
  void bind(const std::string& name, Tensor tensor) override;

  size_t size() const { return tensors_.size(); }
  const Tensor& operator[](size_t index) const { return *tensors_.at(index); }

private:
  std::vector<std::unique_ptr<Tensor>> tensors_; // stable addresses, for own_parameters()
};
TORCH_MODULE(ParameterList);

} // namespace ptbert

/// Defines the holder `Name` of `NameImpl`, as TORCH_MODULE does.
#define PTBERT_MODULE(Name)                                                                        \
  class Name : public ::ptbert::Holder<Name##Impl> {                                               \
  public:                                                                                          \
    using ::ptbert::Holder<Name##Impl>::Holder;                                                    \
    using Impl = Name##Impl;                                                                       \
  }
