namespace Shardwright.Compiler.Machine;

/// <summary>What the factors of products are, which decides on a device's peak.</summary>
public enum Arithmetic
{
    /// <summary>fp32.</summary>
    Float32,

    /// <summary>bf16, summed in fp32.</summary>
    BFloat16,

    /// <summary>fp16, summed in fp32.</summary>
    Float16,
}
