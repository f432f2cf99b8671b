using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Native;

/// <summary>
/// What libtorch's allocator holds of a device. Its functions are inline in C++, its object is not: its virtual table is asked, in the
/// order that libtorch 2.10 and 2.11 have (c10/core/CachingDeviceAllocator.h), and only where that table has the size known from there.
/// </summary>
internal static unsafe class CudaAllocator
{
    /// <summary>c10::DeviceAllocator's virtual table, and its bytes where the slots below are the right ones.</summary>
    internal const string TableSymbol = "_ZTVN3c1015DeviceAllocatorE";
    internal const long KnownTable = 120;

    private const int EmptyCacheSlot = 7, StatisticsSlot = 9, ResetPeakSlot = 11;
    // Array 4 and 5 of 3 pools × {current, peak, ever, freed}.
    private const int AllocatedBytes = 48, ReservedBytes = 60, StatisticsLongs = 512;

    /// <summary>Whether the libtorch in use has the table that is known here; without it, nothing below may be called.</summary>
    public static bool IsKnown { get; } = LibTorch.Load() is not null && DynamicLinker.SizeOf(TableSymbol) == KnownTable;

    /// <summary>Bytes in tensors, and taken from the driver for them: now, and the most since <see cref="ResetPeak"/>.</summary>
    public static (long Allocated, long AllocatedPeak, long Reserved, long ReservedPeak) Statistics(int device)
    {
        var table = Table(out var self);
        var numbers = stackalloc long[StatisticsLongs];
        ((delegate* unmanaged<long*, nint, sbyte, long*>)table[StatisticsSlot])(numbers, self, (sbyte)device);
        return (numbers[AllocatedBytes], numbers[AllocatedBytes + 1], numbers[ReservedBytes], numbers[ReservedBytes + 1]);
    }

    /// <summary>After the first tensor on the device, with which libtorch makes its allocator.</summary>
    public static void ResetPeak(int device)
    {
        var table = Table(out var self);
        ((delegate* unmanaged<nint, sbyte, void>)table[ResetPeakSlot])(self, (sbyte)device);
    }

    /// <summary>Gives what no tensor uses back to the driver. Waits for the device.</summary>
    public static void EmptyCache()
    {
        var table = Table(out var self);
        ((delegate* unmanaged<nint, ulong, ulong, void>)table[EmptyCacheSlot])(self, 0, 0);
    }

    private static nint* Table(out nint self)
    {
        sbyte cudaType = 1;
        var get = NativeLibrary.GetExport(NativeLibrary.GetMainProgramHandle(), "_ZN3c1012GetAllocatorERKNS_10DeviceTypeE");
        self = ((delegate* unmanaged<sbyte*, nint>)get)(&cudaType);
        return *(nint**)self;
    }
}
