"""The kernel modules that a loader and a RAM workload carry, as a table with reasons. Pure data.

Names are separated by blanks: modules, or, with a slash, paths below kernel/ where * stands for a folder's modules. One
table serves all architectures: a module that a kernel does not have, or has built in, is left out. Facts of boards were
seen in their device trees and drivers; "QEMU" are the machines that the tests boot.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DriverGroup:
    """Modules that belong together. `standard` ones are in every loader, the others are asked for by `name`."""

    name: str
    modules: str
    reason: str
    standard: bool = True
    workload: bool = False  # also in the RAM workload's initrd


DRIVER_GROUPS = (
    DriverGroup(
        "virtio",
        "virtio_net virtio_blk virtio_scsi virtio_pci virtio_mmio virtio_rng",
        reason="virtual machines; the entropy keeps a board without a seed from waiting for one",
        workload=True,
    ),
    DriverGroup(
        "virtio-port",
        "virtio_console",
        reason="QEMU: the channel on which a test gets its verdict",
        workload=True,
    ),
    DriverGroup(
        "firmware-tables",
        "qemu_fw_cfg efivarfs dmi-sysfs",
        reason="identity from QEMU's options and from firmware",
    ),
    DriverGroup(
        "omap",
        "smsc95xx ehci-omap omap_hsmmc sdhci-omap pbias-regulator omap_wdt phy-generic omap-ocp2scp phy-omap-usb2 ti_cpsw "
        "ti_cpsw_new davinci_mdio ti_davinci_emac phy-gmii-sel musb_dsps cppi41 phy-am335x twl4030_wdt phy-twl4030-usb "
        "phy-twl6030-usb tps65217",
        reason="PandaBoard: LAN9514 behind EHCI; BeagleBone: CPSW; their SD hosts, USB PHYs, power and watchdogs; OMAP4's card "
        "slot waits for its pbias regulator, AM335x's USB for its DMA",
        workload=True,
    ),
    DriverGroup(
        "imx",
        "fec gpio-mxc sdhci-esdhc-imx ahci_imx pata_imx imx2_wdt ci_hdrc_imx usbmisc_imx phy-mxs-usb phy-fsl-imx8mq-usb "
        "dwc3-imx8mp dwmac-imx nvmem-imx-ocotp i2c-imx pfuze100-regulator anatop-regulator mc13xxx-i2c mc13xxx-spi "
        "mc13892-regulator da9052_wdt da9052-regulator",
        reason="i.MX5/6/8: the FEC does not appear without gpio-mxc (its PHY's reset); fuses hold the MAC; i.MX53's PMICs "
        "feed SATA",
        workload=True,
    ),
    DriverGroup(
        "sunxi",
        "sun4i-emac mdio-sun4i dwmac-sun8i dwmac-sunxi mdio-mux sunxi-mmc ahci_sunxi sunxi_wdt phy-sun4i-usb "
        "phy-sun9i-usb nvmem_sunxi_sid i2c-mv64xxx axp20x-i2c axp20x-rsb axp20x-regulator pinctrl-axp209 "
        "sy8106a-regulator sun6i-dma i2c-sun6i-p2wi",
        reason="Allwinner: A10's EMAC needs mdio-sun4i, R40's GMAC its AXP regulator over i2c-mv64xxx; SID is the board's "
        "serial number",
        workload=True,
    ),
    DriverGroup(
        "broadcom-soc",
        "genet mdio-bcm-unimac bcm2835 sdhci-iproc bcm2835_wdt dwc2 phy-generic reset-raspberrypi i2c-bcm2835 pcie-brcmstb",
        reason="Raspberry Pi 2 to 4: USB by dwc2, GENET, SD hosts; the reset driver loads the Pi 4's USB firmware",
        workload=True,
    ),
    DriverGroup(
        "starfive",
        "dwmac-starfive motorcomm dw_mmc-starfive clk-starfive-jh7110-aon clk-starfive-jh7110-stg phy-jh7110-usb "
        "phy-jh7110-pcie cdns3-starfive cdns3 i2c-designware-platform axp20x-i2c axp20x-regulator jh7110-trng starfive-wdt",
        reason="VisionFive 2, Mars: the first Ethernet port hangs on the AON clocks, USB and PCIe on the STG clocks; the "
        "PMIC, by I2C, feeds the card slot",
        workload=True,
    ),
    DriverGroup(
        "other-riscv",
        "macb i2c-ocores da9063 da9063-regulator spi-sifive mmc_spi gpio-sifive gpio-dwapb sdhci-of-dwcmshc",
        reason="HiFive Unmatched: its card slot is behind SPI; LicheePi 4A",
        workload=True,
    ),
    DriverGroup(
        "rockchip",
        "dwmac-rk dw_mmc-rockchip sdhci-of-arasan sdhci-of-dwcmshc phy-rockchip-inno-usb2 phy-rockchip-usb "
        "phy-rockchip-emmc phy-rockchip-typec phy-rockchip-naneng-combphy phy-rockchip-pcie pcie-rockchip-host "
        "nvmem_rockchip_efuse i2c-rk3x rk808 rk808-regulator clk-rk808 fan53555 act8865-regulator io-domain dw_wdt "
        "pwm-rockchip",
        reason="Rockchip: Ethernet, SD and USB wait for regulators of the PMIC",
        workload=True,
    ),
    DriverGroup(
        "meson",
        "dwmac-meson8b meson-gx-mmc meson-mx-sdio meson_gxbb_wdt meson_wdt phy-meson8b-usb2 dwc3-meson-g12a "
        "mdio-mux-meson-g12a drivers/phy/amlogic/* nvmem_meson_efuse",
        reason="Amlogic boards",
        workload=True,
    ),
    DriverGroup(
        "marvell-soc",
        "mvneta mvmdio mvpp2 mv643xx_eth mvsdio sdhci-xenon-driver sdhci-pxav3 ahci_mvebu sata_mv orion_wdt "
        "armada_37xx_wdt ehci-orion drivers/phy/marvell/* phy-armada38x-comphy",
        reason="Armada boards",
        workload=True,
    ),
    DriverGroup(
        "other-soc",
        "dwmac-generic stmmac-platform dwmac-altr-socfpga dwmac-stm32 macb smc91x smsc911x ftgmac100 xgmac tmio_mmc_core "
        "armmmci dw_mmc-pltfm sdhci-of-esdhc sdhci_am654 sdhci-tegra sdhci-msm sdhci-acpi sdhci-pci "
        "renesas_sdhi_internal_dmac pcs-lynx",
        reason="network and SD of further boards; smsc911x and armmmci are Versatile Express in QEMU",
        workload=True,
    ),
    DriverGroup(
        "phy",
        "drivers/net/phy/* drivers/net/mdio/* drivers/net/pcs/*",
        reason="whichever PHY is soldered behind the MAC; the generic driver takes most but not their delays",
        workload=True,
    ),
    DriverGroup(
        "pci-net",
        "e1000 e1000e igb igc r8169 8139cp 8139too tg3 sky2 atl1c alx dwmac-intel lan743x",
        reason="PCs, small servers, ARM boards with PCIe",
    ),
    DriverGroup(
        "server-net",
        "ixgbe igbvf ixgbevf atlantic amd-xgbe bnx2 bnx2x bnxt_en i40e iavf ice mlx4_en mlx5_core be2net cxgb4 qede sfc "
        "enic hinic nfp thunder_bgx nicvf",
        reason="10 to 200 Gb/s cards: megabytes each, and mostly with firmware of their own",
        standard=False,
    ),
    DriverGroup(
        "old-pcs",
        "e100 pcnet32 ne2k-pci via-rhine via-velocity skge forcedeth atl1e jme sata_sil sata_sil24 sata_via sata_nv",
        reason="network and SATA of PCs from before 2010",
        standard=False,
    ),
    DriverGroup(
        "clouds",
        "hv_netvsc hv_storvsc vmxnet3 vmw_pvscsi ena gve xen-netfront xen-blkfront",
        reason="virtual machines of Hyper-V, VMware, Xen, Amazon and Google, for their own network and disks",
        standard=False,
    ),
    DriverGroup(
        "arm-servers",
        "xgene-enet hns_enet_drv fsl-dpaa2-eth fsl_enetc qcom-emac netsec ahci_xgene",
        reason="network on the chips of 64-bit ARM servers",
        standard=False,
    ),
    DriverGroup(
        "usb-net",
        "asix ax88179_178a aqc111 cdc_ether cdc_ncm cdc_eem cdc_subset r8152 r8153_ecm smsc75xx smsc95xx lan78xx dm9601 "
        "sr9700 sr9800 mcs7830 rtl8150 pegasus kaweth ch9200 rndis_host",
        reason="USB Ethernet, on many boards the only Ethernet",
        workload=True,
    ),
    DriverGroup(
        "vlan",
        "8021q",
        reason="the setting `vlan`",
        workload=True,
    ),
    DriverGroup(
        "ipv6",
        "ipv6 af_packet",
        reason="SLAAC; packet sockets for DHCP, where they are modules",
        workload=True,
    ),
    DriverGroup(
        "usb",
        "ehci-pci ehci-platform ohci-pci ohci-platform uhci-hcd xhci-pci xhci-plat-hcd dwc2 dwc3 "
        "dwc3-of-simple dwc3-pci dwc3-qcom dwc3-xilinx dwc3-omap dwc3-am62 ci_hdrc_usb2 ehci-fsl fsl-mph-dr-of "
        "phy-generic usb3503 phy-zynqmp phy-hi6220-usb",
        reason="USB hosts, for USB Ethernet and disks",
        workload=True,
    ),
    DriverGroup(
        "gpio-regulators",
        "fixed gpio-regulator gpio-pca953x i2c-gpio i2c-mux i2c-mux-pca954x i2c-mux-pinctrl pwm-regulator at24 extcon-usb-gpio",
        reason="power of PHYs, SD slots (the Pi 4's is a fixed regulator) and USB hubs; at24 reads boards' EEPROMs: serial "
        "numbers and MACs",
        workload=True,
    ),
    DriverGroup(
        "sd-card",
        "mmc_block rtsx_pci_sdmmc rtsx_usb_sdmmc via-sdmmc sdhci",
        reason="the card, where its drivers are modules",
    ),
    DriverGroup(
        "disks",
        "sd_mod ahci ahci_platform ata_piix ata_generic nvme usb-storage uas sata_highbank ahci_tegra ahci_ceva "
        "ahci_qoriq ahci_dwc phy-exynos5250-sata",
        reason="the inventory, installation marks, and the loader's own files on a USB stick",
    ),
    DriverGroup(
        "server-disks",
        "megaraid_sas mpt3sas mptspi mptsas hpsa aacraid",
        reason="RAID and SAS controllers",
        standard=False,
    ),
    DriverGroup(
        "disk-checksums",
        "crct10dif_generic crc64_rocksoft_generic crc32c_generic",
        reason="sd_mod and ext4 ask for them by a crypto alias, which no dependency shows",
    ),
    DriverGroup(
        "ext4",
        "ext4",
        reason="installed systems and cards",
    ),
    DriverGroup(
        "vfat",
        "vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8",
        reason="the card's boot partition; Debian's default code page cp437 and character sets are modules",
    ),
    DriverGroup(
        "btrfs",
        "btrfs",
        reason="installed systems on btrfs",
        standard=False,
    ),
    DriverGroup(
        "xfs",
        "xfs",
        reason="installed systems on XFS",
        standard=False,
    ),
    DriverGroup(
        "f2fs",
        "f2fs",
        reason="installed systems on F2FS",
        standard=False,
    ),
    DriverGroup(
        "squashfs",
        "squashfs loop overlay",
        reason="images with a squashed root",
        standard=False,
    ),
    DriverGroup(
        "iso9660",
        "isofs sr_mod nls_iso8859-1",
        reason="installation media",
        standard=False,
    ),
    DriverGroup(
        "lvm-raid",
        "dm-mod raid1 raid456",
        reason="installed systems on LVM or RAID",
        standard=False,
    ),
    DriverGroup(
        "watchdog",
        "i6300esb iTCO_wdt sp5100_tco wdat_wdt sbsa_gwdt sp805_wdt dw_wdt gpio_wdt rti_wdt s3c2410_wdt tegra_wdt qcom-wdt "
        "stpmic1_wdt rn5t618_wdt hpwdt xen_wdt",
        reason="a hung agent reboots the board; i6300esb is QEMU's",
    ),
    DriverGroup(
        "clock",
        "rtc-cmos rtc-efi rtc-ds1307 rtc-pcf8563 rtc-pcf85063 rtc-rk808",
        reason="the date, where there is a clock: TLS certificates are checked against it",
    ),
    DriverGroup(
        "rng",
        "omap-rng omap3-rom-rng bcm2835-rng iproc-rng200 imx-rngc meson-rng exynos-trng arm_smccc_trng stm32-rng hisi-rng "
        "xgene-rng cavium-rng tpm_tis tpm_crb",
        reason="nonces come from getrandom, which waits for entropy on boards without an instruction for it",
        workload=True,
    ),
)
