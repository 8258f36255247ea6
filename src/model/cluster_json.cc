#include "model/cluster_json.h"

namespace panal {

PANAL_JSON(, NodeSpec)
PANAL_JSON(, ContainerSpec)
PANAL_JSON(, Placement)
PANAL_JSON(, TaskSpec)
PANAL_JSON(, PortConfig)
PANAL_JSON(, ServiceSpec)
PANAL_JSON(, TaskStatus)
PANAL_JSON(, Node)
PANAL_JSON(, Service)
PANAL_JSON(, ClusterTask)
PANAL_JSON(, ClusterNetwork)
PANAL_JSON(, SecretObject)
PANAL_JSON(, ClusterSettings)

}  // namespace panal
