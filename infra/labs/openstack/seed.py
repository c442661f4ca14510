"""Seeds the lab: seed.py STEP PASSWORD. One process with the SDK: each call of the openstack command costs 2 s of CPU."""
import sys

import openstack

SERVICES = (  # with a version for compute (and identity), without one for image and network, as real clouds mix them
    ('glance', 'image', 'http://127.0.0.1:9292'),
    ('placement', 'placement', 'http://127.0.0.1:8778'),
    ('nova', 'compute', 'http://127.0.0.1:8774/v2.1'),
    ('neutron', 'network', 'http://127.0.0.1:9696'),
)
MEMBERS = (  # project, user, roles
    ('service', 'svc', ('admin', 'service')),
    ('hawser', 'hawser', ('member', 'reader')),
    ('other', 'other', ('member',)),
)
FLAVORS = (  # name, MiB, processors, GB
    ('m1.nano', 128, 1, 1),
    ('m1.tiny', 512, 1, 1),
    ('m1.small', 2048, 1, 20),
    ('m1.huge', 2048, 64, 20),
)


def seed_identity(identity, password):
    have = {service.type for service in identity.services()}
    for name, kind, url in SERVICES:
        if kind not in have:
            service = identity.create_service(name=name, type=kind)
            for interface in ('public', 'internal', 'admin'):
                identity.create_endpoint(
                    service_id=service.id, interface=interface, region_id='RegionOne', url=url)
    roles = {role.name: role for role in identity.roles()}
    if 'service' not in roles:
        roles['service'] = identity.create_role(name='service')
    for project_name, user_name, wanted in MEMBERS:
        project = identity.find_project(project_name) or identity.create_project(
            name=project_name, domain_id='default')
        user = identity.find_user(user_name) or identity.create_user(
            name=user_name, password=password, default_project_id=project.id, domain_id='default')
        for role in wanted:
            identity.assign_project_role_to_user(project, user, roles[role])


def seed_flavors(compute):
    for name, ram, cpus, disk in FLAVORS:
        if not compute.find_flavor(name):
            compute.create_flavor(name=name, ram=ram, vcpus=cpus, disk=disk)
    if not compute.find_flavor('m1.nohost'):  # accepted, then ERROR "No valid host"
        flavor = compute.create_flavor(name='m1.nohost', ram=512, vcpus=1, disk=1)
        compute.create_flavor_extra_specs(flavor, {'capabilities:hypervisor_type': 'nope'})


def seed_networks(network, project):
    public = network.find_network('public') or network.create_network(
        name='public', is_router_external=True, provider_network_type='flat', provider_physical_network='public')
    if not network.find_subnet('public4'):
        network.create_subnet(
            network_id=public.id, name='public4', cidr='172.24.4.0/24', ip_version=4, is_dhcp_enabled=False,
            gateway_ip='172.24.4.1', allocation_pools=[{'start': '172.24.4.10', 'end': '172.24.4.200'}])
    private = network.find_network('private') or network.create_network(name='private', project_id=project.id)
    subnet = network.find_subnet('private4') or network.create_subnet(
        network_id=private.id, project_id=project.id, name='private4', cidr='10.20.0.0/24', ip_version=4)
    if not network.find_router('private'):
        router = network.create_router(
            name='private', project_id=project.id, external_gateway_info={'network_id': public.id})
        network.add_interface_to_router(router, subnet_id=subnet.id)


def main(step, password):
    cloud = openstack.connect(
        load_envvars=False, load_yaml_config=False, auth_url='http://127.0.0.1:5000/v3', username='admin',
        password=password, project_name='admin', user_domain_id='default', project_domain_id='default',
        region_name='RegionOne', app_name='seed')
    if step == 'identity':
        seed_identity(cloud.identity, password)
    else:
        seed_flavors(cloud.compute)
        seed_networks(cloud.network, cloud.identity.find_project('hawser'))


main(*sys.argv[1:])
