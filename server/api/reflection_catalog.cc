#include "server/api/reflection_catalog.h"

#include <algorithm>

#include "common/invariant.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/rpc/error_details.pb.h"

namespace fila::api {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

ReflectionCatalog::ReflectionCatalog(const std::vector<std::string>& services)
    : pool_(google::protobuf::DescriptorPool::generated_pool()), services_(services) {
  std::sort(services_.begin(), services_.end());
  for (const std::string& service : services_) {
    const google::protobuf::ServiceDescriptor* descriptor = pool_->FindServiceByName(service);
    FILA_INVARIANT(descriptor != nullptr, "a service that is told of is linked in");
    AddFile(descriptor->file());
  }
  // No method names them, but errors carry them.
  AddFile(google::rpc::ErrorInfo::descriptor()->file());
}

void ReflectionCatalog::AddFile(const FileDescriptor* file) {
  if (!files_.insert(file).second) return;
  for (int i = 0; i < file->dependency_count(); ++i) AddFile(file->dependency(i));
}

const FileDescriptor* ReflectionCatalog::IfPublic(const FileDescriptor* file) const {
  return files_.contains(file) ? file : nullptr;
}

const FileDescriptor* ReflectionCatalog::FileByName(const std::string& name) const {
  return IfPublic(pool_->FindFileByName(name));
}

const FileDescriptor* ReflectionCatalog::FileBySymbol(const std::string& symbol) const {
  return IfPublic(pool_->FindFileContainingSymbol(symbol));
}

const FileDescriptor* ReflectionCatalog::FileByExtension(const std::string& type, int number) const {
  const Descriptor* descriptor = pool_->FindMessageTypeByName(type);
  if (descriptor == nullptr) return nullptr;
  const FieldDescriptor* extension = pool_->FindExtensionByNumber(descriptor, number);
  return extension == nullptr ? nullptr : IfPublic(extension->file());
}

bool ReflectionCatalog::ExtensionNumbers(const std::string& type, std::vector<int>* numbers) const {
  const Descriptor* descriptor = pool_->FindMessageTypeByName(type);
  if (descriptor == nullptr || IfPublic(descriptor->file()) == nullptr) return false;
  std::vector<const FieldDescriptor*> extensions;
  pool_->FindAllExtensions(descriptor, &extensions);
  for (const FieldDescriptor* extension : extensions) {
    if (IfPublic(extension->file()) != nullptr) numbers->push_back(extension->number());
  }
  return true;
}

std::vector<std::string> ReflectionCatalog::WithImports(const FileDescriptor* file) {
  std::vector<const FileDescriptor*> files = {file};
  for (size_t at = 0; at < files.size(); ++at) {
    for (int i = 0; i < files[at]->dependency_count(); ++i) {
      const FileDescriptor* import = files[at]->dependency(i);
      if (std::find(files.begin(), files.end(), import) == files.end()) files.push_back(import);
    }
  }
  std::vector<std::string> serialised;
  for (const FileDescriptor* one : files) {
    google::protobuf::FileDescriptorProto proto;
    one->CopyTo(&proto);
    serialised.push_back(proto.SerializeAsString());
  }
  return serialised;
}

}  // namespace fila::api
