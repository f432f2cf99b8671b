using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// Calls any ATen operator through libtorch's stable C interface, autograd included: for what TorchSharp does not wrap.
/// Operators with a <c>Scalar</c> argument cannot be called this way in libtorch 2.10; use TorchSharp's wrapper for those.
/// libtorch writes the text of an error to stderr only, so the exception names the operator and what it was given.
/// </summary>
public static unsafe partial class Aten
{
    /// <summary>Calls an operator that returns one tensor. In-place operators return an alias: dispose it.</summary>
    /// <param name="op">Qualified name, e.g. <c>aten::rms_norm</c>.</param>
    /// <exception cref="AtenException">The operator refused its arguments.</exception>
    public static Tensor Call(string op, string overload, params ReadOnlySpan<AtenValue> arguments)
    {
        var stack = stackalloc ulong[Math.Max(arguments.Length, 1)];
        Dispatch(op, overload, stack, arguments);
        return Tensor.UnsafeCreateTensor((nint)stack[0]);
    }

    /// <summary>Calls an operator that returns one integer.</summary>
    public static long CallForInteger(string op, string overload, params ReadOnlySpan<AtenValue> arguments)
    {
        var stack = stackalloc ulong[Math.Max(arguments.Length, 1)];
        Dispatch(op, overload, stack, arguments);
        return (long)stack[0];
    }

    /// <summary>Calls an operator that returns several values, and gives those that are tensors.</summary>
    /// <param name="returns">For each value of the schema, whether it is a tensor.</param>
    public static Tensor[] CallForTensors(string op, string overload, ReadOnlySpan<bool> returns, params ReadOnlySpan<AtenValue> arguments)
    {
        var stack = stackalloc ulong[Math.Max(arguments.Length, returns.Length)];
        Dispatch(op, overload, stack, arguments);
        var kept = new List<Tensor>();
        for (var i = 0; i < returns.Length; i++)
            if (returns[i]) kept.Add(Tensor.UnsafeCreateTensor((nint)stack[i]));
        return [.. kept];
    }

    /// <summary>Calls an operator that returns nothing.</summary>
    public static void Invoke(string op, string overload, params ReadOnlySpan<AtenValue> arguments)
    {
        var stack = stackalloc ulong[Math.Max(arguments.Length, 1)];
        Dispatch(op, overload, stack, arguments);
    }

    private static void Dispatch(string op, string overload, ulong* stack, ReadOnlySpan<AtenValue> arguments)
    {
        for (var i = 0; i < arguments.Length; i++) stack[i] = Encode(arguments[i]);
        if (AtenNative.torch_call_dispatcher(op, overload, stack, AbiVersion) != 0)
        {
            var given = new string[arguments.Length];
            for (var i = 0; i < given.Length; i++) given[i] = arguments[i].ToString();
            throw new AtenException($"{op}{(overload.Length > 0 ? "." + overload : "")} failed on ({string.Join(", ", given)}); "
                + "libtorch's reason is on stderr.");
        }
        foreach (var argument in arguments) GC.KeepAlive(argument.Reference); // a finalizer must not free a tensor during the call
    }

    /// <summary>Of libtorch's C interface: its major, minor and patch version in the upper bytes.</summary>
    internal static ulong Version => AbiVersion;

    private static readonly ulong AbiVersion = ReadAbiVersion();

    private static ulong ReadAbiVersion()
    {
        LibTorch.Load();
        return AtenNative.aoti_torch_abi_version();
    }

    private static ulong Encode(AtenValue value) => value.Kind switch
    {
        AtenKind.Bits => value.Bits,
        AtenKind.None => 0,
        AtenKind.Tensor => Owned((Tensor)value.Reference!),
        AtenKind.OptionalTensor => Boxed(Owned((Tensor)value.Reference!)),
        AtenKind.OptionalBits => Boxed(value.Bits),
        AtenKind.Tensors => List((Tensor[])value.Reference!, Owned),
        AtenKind.Integers => List((long[])value.Reference!, static number => (ulong)number),
        _ => throw new InvalidOperationException(value.Kind.ToString()),
    };

    /// <summary>A second handle to the same tensor: the dispatcher takes ownership of what it is given.</summary>
    private static ulong Owned(Tensor tensor)
    {
        Check(AtenNative.aoti_torch_new_tensor_handle(tensor.Handle, out var handle));
        return (ulong)handle;
    }

    /// <summary>An optional's value lives in a heap cell that the callee frees with libc's free.</summary>
    private static ulong Boxed(ulong value)
    {
        var cell = (ulong*)NativeMemory.Alloc(sizeof(ulong));
        *cell = value;
        return (ulong)cell;
    }

    private static ulong List<T>(T[] items, Func<T, ulong> encode)
    {
        Check(AtenNative.torch_new_list_reserve_size((nuint)items.Length, out var list));
        foreach (var item in items) Check(AtenNative.torch_list_push_back(list, encode(item)));
        return (ulong)list;
    }

    private static void Check(int code)
    {
        if (code != 0) throw new AtenException("libtorch refused to make an argument; its reason is on stderr.");
    }
}

/// <summary>An operator refused its arguments.</summary>
public sealed class AtenException(string message) : Exception(message);
