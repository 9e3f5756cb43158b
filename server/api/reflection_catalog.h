// What server reflection may tell: the public services and every proto file that they need, and nothing of the traffic
// between nodes.
#ifndef FILA_SERVER_API_REFLECTION_CATALOG_H_
#define FILA_SERVER_API_REFLECTION_CATALOG_H_

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "google/protobuf/descriptor.h"

namespace fila::api {

// Immutable after construction; safe in every thread.
class ReflectionCatalog {
 public:
  // `services` are full names of services whose code is linked in.
  explicit ReflectionCatalog(const std::vector<std::string>& services);

  const std::vector<std::string>& services() const { return services_; }

  // Nothing if there is none, or if it is not public.
  const google::protobuf::FileDescriptor* FileByName(const std::string& name) const;
  const google::protobuf::FileDescriptor* FileBySymbol(const std::string& symbol) const;
  const google::protobuf::FileDescriptor* FileByExtension(const std::string& type, int number) const;
  // False: no such message.
  bool ExtensionNumbers(const std::string& type, std::vector<int>* numbers) const;

  // Serialised FileDescriptorProtos of the file and of all that it imports, itself first.
  static std::vector<std::string> WithImports(const google::protobuf::FileDescriptor* file);

 private:
  void AddFile(const google::protobuf::FileDescriptor* file);
  const google::protobuf::FileDescriptor* IfPublic(const google::protobuf::FileDescriptor* file) const;

  const google::protobuf::DescriptorPool* const pool_;
  std::vector<std::string> services_;
  std::set<const google::protobuf::FileDescriptor*> files_;
};

}  // namespace fila::api

#endif  // FILA_SERVER_API_REFLECTION_CATALOG_H_
