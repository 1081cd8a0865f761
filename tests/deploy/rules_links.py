"""What one manifest says of another must be so: references, selectors, ports, budgets, scale."""

from collections.abc import Iterator

from tests.deploy.rendered import Manifest, Rendered, Workload


def problems(rendered: Rendered) -> Iterator[str]:
    """What points nowhere, or to more than it should, a line each."""
    rules = (_volumes, _services, _budgets, _scalers, _ingresses, _namespaces)
    for rule in rules:
        yield from (f"{rendered.name}: {text}" for text in rule(rendered))


def _volumes(rendered: Rendered) -> Iterator[str]:
    for workload in rendered.workloads():
        claims = [c["metadata"]["name"] for c in workload.spec.get("volumeClaimTemplates", ())]
        names = {*claims, *(v["name"] for v in workload.pod.get("volumes", ()))}
        mounts = {m["name"] for c in workload.containers for m in c.get("volumeMounts", ())}
        for name in names ^ mounts:
            yield f"{workload.name}: volume {name} is not both there and mounted"
        for volume in workload.pod.get("volumes", ()):
            for source in volume.get("projected", {}).get("sources", [volume]):
                yield from _source(rendered, workload, source)


def _source(rendered: Rendered, workload: Workload, source: Manifest) -> Iterator[str]:
    for kind, key in (("ConfigMap", "configMap"), ("Secret", "secret")):
        if (there := source.get(key)) is None:
            continue
        name = there.get("name") or there.get("secretName")
        found = rendered.named(kind, name)
        if found is None:
            yield f"{workload.name}: there is no {kind} {name}"
            continue
        for item in there.get("items", ()):
            if item["key"] not in found["data"]:
                yield f"{workload.name}: {kind} {name} has no {item['key']}"


def _services(rendered: Rendered) -> Iterator[str]:
    for service in rendered.of("Service"):
        name = service["metadata"]["name"]
        selector = {"matchLabels": service["spec"].get("selector", {})}
        behind = [w for w in rendered.workloads() if w.fits(selector)]
        if len(behind) != 1:
            yield f"Service {name} is for {[w.name for w in behind]}"
            continue
        ports = behind[0].ports()
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports:
                yield f"Service {name}: {behind[0].name} has no port {port['targetPort']}"
    names = {service["metadata"]["name"] for service in rendered.of("Service")}
    for workload in rendered.workloads("Deployment", "StatefulSet"):
        if workload.name not in names:
            yield f"{workload.name} has no Service"
        if workload.spec.get("serviceName", workload.name) not in names:
            yield f"{workload.name}: there is no Service {workload.spec['serviceName']}"


def _budgets(rendered: Rendered) -> Iterator[str]:
    several = {w.name for w in rendered.workloads() if _replicas(rendered, w) > 1}
    for budget in rendered.of("PodDisruptionBudget"):
        name = budget["metadata"]["name"]
        selected = [w.name for w in rendered.workloads() if w.fits(budget["spec"].get("selector"))]
        if selected != [name]:
            yield f"PodDisruptionBudget {name} is for {selected}"
        if budget["spec"].get("maxUnavailable") != 1:
            yield f"PodDisruptionBudget {name} does not let one go at a time"
        several.discard(name)
    for name in sorted(several):
        yield f"{name} has replicas and no PodDisruptionBudget"


def _scalers(rendered: Rendered) -> Iterator[str]:
    for scaler in rendered.of("HorizontalPodAutoscaler"):
        name, target = scaler["metadata"]["name"], scaler["spec"]["scaleTargetRef"]
        found = rendered.named(target["kind"], target["name"])
        if found is None:
            yield f"HorizontalPodAutoscaler {name}: there is no {target['kind']} {target['name']}"
        elif "replicas" in found["spec"]:
            yield f"{name}: replicas would undo what the HorizontalPodAutoscaler does"
        if scaler["spec"]["minReplicas"] < 2:
            yield f"HorizontalPodAutoscaler {name} lets a single pod be all there is"


def _ingresses(rendered: Rendered) -> Iterator[str]:
    for ingress in rendered.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                wanted = path["backend"]["service"]
                service = rendered.named("Service", wanted["name"])
                ports = [p["name"] for p in service["spec"]["ports"]] if service else []
                if wanted["port"].get("name") not in ports:
                    yield f"Ingress: there is no Service {wanted['name']} with such a port"
        notes = ingress["metadata"].get("annotations", {})
        for key in ("read", "send"):
            if int(notes.get(f"nginx.ingress.kubernetes.io/proxy-{key}-timeout", 60)) < 600:
                yield f"Ingress: proxy-{key}-timeout ends WebSockets that are merely silent"


def _namespaces(rendered: Rendered) -> Iterator[str]:
    names = {m["metadata"]["name"] for m in rendered.of("Namespace")}
    for manifest in rendered.manifests:
        if manifest["kind"] != "Namespace" and manifest["metadata"].get("namespace") not in names:
            yield f"{manifest['kind']} {manifest['metadata']['name']} is in no namespace of ours"


def _replicas(rendered: Rendered, workload: Workload) -> int:
    scaled = (
        s["spec"]["minReplicas"]
        for s in rendered.of("HorizontalPodAutoscaler")
        if s["spec"]["scaleTargetRef"]["name"] == workload.name
    )
    return int(next(scaled, workload.spec.get("replicas", 1)))
