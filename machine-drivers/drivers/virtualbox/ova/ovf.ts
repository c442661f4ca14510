/**
 * The OVF envelope (DSP0243 1.1) of the image: one disk, one card behind NAT, EFI firmware. OVF has no word for the
 * firmware; VMware's and VirtualBox's own extensions say it, and are not required of other readers. Pure.
 */

export interface OvfWish {
  readonly name: string;
  readonly version: string;
  readonly vmdk: {readonly file: string; readonly bytes: number};
  readonly capacityBytes: number;
  readonly cpus: number;
  readonly memoryMiB: number;
  /** Of the appliance; follows from the image. */
  readonly uuid: string;
}

export function ovf(wish: OvfWish): string {
  const {name, version, vmdk, capacityBytes, cpus, memoryMiB, uuid} = wish;
  const title = escapeXml(`${name} ${version}`);
  // The schema wants the elements of an item in the order of their names.
  const item = (id: number, type: number, text: string, more: readonly string[] = []) =>
    [
      '      <Item>',
      ...[
        ...more,
        `<rasd:ElementName>${text}</rasd:ElementName>`,
        `<rasd:InstanceID>${id}</rasd:InstanceID>`,
        `<rasd:ResourceType>${type}</rasd:ResourceType>`,
      ]
        .sort((a, b) => (a < b ? -1 : 1))
        .map(line => `        ${line}`),
      '      </Item>',
    ].join('\n');
  return `<?xml version="1.0" encoding="UTF-8"?>
<Envelope ovf:version="1.0" xml:lang="en-US" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:vbox="http://www.virtualbox.org/ovf/machine">
  <References>
    <File ovf:id="disk-file" ovf:href="${escapeXml(vmdk.file)}" ovf:size="${vmdk.bytes}"/>
  </References>
  <DiskSection>
    <Info>Disks of the machine</Info>
    <Disk ovf:diskId="disk" ovf:fileRef="disk-file" ovf:capacity="${capacityBytes}" ovf:capacityAllocationUnits="byte" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection>
    <Info>Networks of the machine</Info>
    <Network ovf:name="NAT">
      <Description>A way out</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="${escapeXml(name)}">
    <Info>A container host</Info>
    <Name>${escapeXml(name)}</Name>
    <ProductSection>
      <Info>What is on the disk</Info>
      <Product>${title}</Product>
      <Version>${escapeXml(version)}</Version>
    </ProductSection>
    <OperatingSystemSection ovf:id="101" vmw:osType="otherLinux64Guest">
      <Info>The kind of system</Info>
      <Description>Linux26_64</Description>
      <vbox:OSType ovf:required="false">Linux26_64</vbox:OSType>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Hardware of the machine</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>${escapeXml(name)}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-10 virtualbox-2.2</vssd:VirtualSystemType>
      </System>
${item(1, 3, 'processors', [`<rasd:VirtualQuantity>${cpus}</rasd:VirtualQuantity>`])}
${item(2, 4, 'memory', ['<rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>', `<rasd:VirtualQuantity>${memoryMiB}</rasd:VirtualQuantity>`])}
${item(3, 20, 'SATA', ['<rasd:Address>0</rasd:Address>', '<rasd:ResourceSubType>AHCI</rasd:ResourceSubType>'])}
${item(4, 17, 'disk', ['<rasd:AddressOnParent>0</rasd:AddressOnParent>', '<rasd:HostResource>ovf:/disk/disk</rasd:HostResource>', '<rasd:Parent>3</rasd:Parent>'])}
${item(5, 10, 'network card', ['<rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>', '<rasd:Connection>NAT</rasd:Connection>', '<rasd:ResourceSubType>E1000</rasd:ResourceSubType>'])}
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
    </VirtualHardwareSection>
    <vbox:Machine ovf:required="false" version="1.16-linux" uuid="{${uuid}}" name="${escapeXml(name)}" OSType="Linux26_64" snapshotFolder="Snapshots">
      <Hardware>
        <CPU count="${cpus}"/>
        <Memory RAMSize="${memoryMiB}"/>
        <Firmware type="EFI"/>
        <Boot>
          <Order position="1" device="HardDisk"/>
        </Boot>
        <Network>
          <Adapter slot="0" enabled="true" type="82540EM" cable="true">
            <NAT/>
          </Adapter>
        </Network>
        <StorageControllers>
          <StorageController name="SATA" type="AHCI" PortCount="2" useHostIOCache="true" Bootable="true">
            <AttachedDevice type="HardDisk" port="0" device="0"/>
          </StorageController>
        </StorageControllers>
      </Hardware>
    </vbox:Machine>
  </VirtualSystem>
</Envelope>
`;
}

function escapeXml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
