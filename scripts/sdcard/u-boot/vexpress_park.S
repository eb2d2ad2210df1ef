/*
 * Versatile Express with Cortex-A9: keeps the other CPUs away from U-Boot.
 *
 * On the board ARM's Boot Monitor does this. QEMU starts all CPUs at the entry of an ELF file that is no Linux kernel, and
 * four of them would run U-Boot at once. They wait in the SRAM, which no kernel uses, as Linux expects it
 * (arch/arm/mach-versatile/platsmp-vexpress.c): sleeping until an interrupt, then going where SYS_FLAGS says.
 */

#define SRAM		0x48000000
#define GIC_CPU		0x1e000100
#define SYS_FLAGS	0x10000030

	.arch	armv7-a
	.arm
	.globl	save_boot_params
save_boot_params:
	mrc	p15, 0, r4, c0, c0, 5
	ands	r4, r4, #0xf
	beq	save_boot_params_ret
	/* U-Boot's own memory is overwritten by the kernel. */
	adr	r4, waiting
	adr	r5, waiting_end
	movw	r6, #(SRAM & 0xffff)
	movt	r6, #(SRAM >> 16)
	mov	r8, r6
1:	ldr	r7, [r4], #4
	str	r7, [r6], #4
	cmp	r4, r5
	blo	1b
	dsb
	isb
	bx	r8

	.align	2
waiting:
	/* The interrupt controller lets every software interrupt through, so that wfi ends. */
	movw	r5, #(GIC_CPU & 0xffff)
	movt	r5, #(GIC_CPU >> 16)
	mov	r6, #1
	str	r6, [r5]
	mov	r6, #0xff
	str	r6, [r5, #4]
	movw	r5, #(SYS_FLAGS & 0xffff)
	movt	r5, #(SYS_FLAGS >> 16)
2:	dsb
	wfi
	ldr	r6, [r5]
	cmp	r6, #0
	beq	2b
	bx	r6
waiting_end:
