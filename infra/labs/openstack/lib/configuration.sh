# Configuration files from ../conf, written for this lab; sourced by ../lab.

# fill FILE: stands in for @NAME@ what this lab has; a line @include NAME@ becomes conf/NAME
fill() {
  local driver=fake.FakeDriver paste=/usr/share/glance-common/glance-api-paste.ini
  [ "$VIRT" != qemu ] || driver=libvirt.LibvirtDriver
  [ ! -e /etc/glance/glance-api-paste.ini ] || paste=/etc/glance/glance-api-paste.ini
  sed -e "/^@include auth@$/{r $HERE/conf/auth" -e 'd}' \
    -e "/^@include pool@$/{r $HERE/conf/pool" -e 'd}' "$HERE/conf/$1" |
    sed -e "s|@LAB@|$LAB|g" -e "s|@ETC@|$ETC|g" -e "s|@LOG@|$LOG|g" -e "s|@PW@|$PW|g" -e "s|@HOST@|$HOST|g" \
      -e "s|@DB@|mysql+pymysql://os:$PW@127.0.0.1:$DBPORT|g" -e "s|@MQ@|rabbit://guest:guest@127.0.0.1:$MQPORT/|g" \
      -e "s|@DRIVER@|$driver|g" -e "s|@VIRSH@|$VIRSH|g" -e "s|@PASTE@|$paste|g"
}

write_configuration() {
  local n
  mkdir -p "$ETC"/{keystone/fernet,keystone/cred,glance,placement,nova,neutron} "$LAB"/{images,instances,lock,rabbit}
  for n in keystone/keystone glance/glance-api placement/placement nova/nova neutron/neutron; do
    fill "${n#*/}.conf" >"$ETC/$n.conf"
  done
  cp /usr/share/nova-common/api-paste.ini "$ETC/nova/api-paste.ini"
  cp /usr/share/neutron-common/api-paste.ini "$ETC/neutron/api-paste.ini"
  # a Python distribution by hand, which is how Neutron finds a mechanism driver
  mkdir -p "$LAB/pylib/labbind-1.0.dist-info"
  printf 'Metadata-Version: 2.1\nName: labbind\nVersion: 1.0\n' >"$LAB/pylib/labbind-1.0.dist-info/METADATA"
  printf '[neutron.ml2.mechanism_drivers]\nlabbind = labbind:LabBind\n' \
    >"$LAB/pylib/labbind-1.0.dist-info/entry_points.txt"
  cp "$HERE/labbind.py" "$LAB/pylib/labbind.py"
}

write_access() {
  local u
  {
    echo "clouds:"
    for u in hawser other admin; do
      printf '  %s:\n    auth: {auth_url: "http://127.0.0.1:5000/v3", username: %s, password: %s, project_name: %s,' \
        $u $u $PW $u
      printf ' user_domain_id: default, project_domain_id: default}\n'
      printf '    region_name: RegionOne\n    identity_api_version: 3\n'
    done
  } >"$LAB/clouds.yaml"
  echo "export OS_CLIENT_CONFIG_FILE=$LAB/clouds.yaml OS_CLOUD=hawser"
}
