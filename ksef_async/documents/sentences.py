"""The sentences of a report, in English and in Polish: what is wrong, and what to do."""

from __future__ import annotations

from typing import Final

__all__ = ["SENTENCES"]

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    # --- the file
    "empty": (
        "The document is empty; give the XML of an invoice.",
        "Dokument jest pusty; podaj XML faktury.",
    ),
    "too_large": (
        "The document has {size} bytes; KSeF takes at most {limit}. Split it into more invoices.",
        "Dokument ma {size} bajtów; KSeF przyjmuje najwyżej {limit}. Podziel go na więcej faktur.",
    ),
    "too_many_elements": (
        "The document has more than {limit} elements; no form has so many.",
        "Dokument ma więcej niż {limit} elementów; żaden formularz nie ma ich tyle.",
    ),
    "too_deep": (
        "The elements are nested more than {limit} deep; no form is.",
        "Elementy są zagnieżdżone głębiej niż {limit} poziomów; w żadnym formularzu tak nie jest.",
    ),
    "bom": (
        "The document begins with a byte order mark; save it as UTF-8 without BOM.",
        "Dokument zaczyna się znacznikiem BOM; zapisz go jako UTF-8 bez BOM.",
    ),
    "encoding": (
        "The document is in {encoding}; KSeF takes UTF-8 only. Save it as UTF-8 and declare no other encoding.",
        "Dokument jest w kodowaniu {encoding}; KSeF przyjmuje tylko UTF-8. Zapisz go w UTF-8 i nie deklaruj innego.",
    ),
    "not_utf8": (
        "The byte {byte} is not UTF-8; save the document as UTF-8.",
        "Bajt {byte} nie należy do UTF-8; zapisz dokument w UTF-8.",
    ),
    "dtd": (
        "A DTD (<!DOCTYPE>) is not allowed, nor are its entities; leave it out.",
        "DTD (<!DOCTYPE>) i jej encje są niedozwolone; usuń ją.",
    ),
    "processing_instruction": (
        "The processing instruction <?{target}?> is not allowed; leave it out.",
        "Instrukcja przetwarzania <?{target}?> jest niedozwolona; usuń ją.",
    ),
    "not_well_formed": (
        "The document is not well-formed XML: {reason}.",
        "Dokument nie jest poprawnym XML: {reason_pl}.",
    ),
    "character": (
        "The character {character} is one that KSeF does not want; leave it out.",
        "Znak {character} nie jest dozwolony w KSeF; usuń go.",
    ),
    # --- the root
    "root": (
        "The document's element is {name}; an invoice of KSeF begins with Faktura.",
        "Elementem głównym jest {name}; faktura KSeF zaczyna się elementem Faktura.",
    ),
    "namespace": (
        "The namespace {namespace} is of no form that KSeF takes; {form} has {expected}.",
        "Przestrzeń nazw {namespace} nie należy do żadnego formularza KSeF; {form} ma {expected}.",
    ),
    "namespace_old": (
        "The namespace is that of {form}, a form of KSeF 1.0; KSeF 2.0 takes FA(3). Write the invoice as FA(3).",
        "Przestrzeń nazw należy do {form}, wzoru z KSeF 1.0; KSeF 2.0 przyjmuje FA(3). Zapisz fakturę jako FA(3).",
    ),
    # --- elements
    "element_namespace": (
        "{name} is in another namespace ({namespace}); take the prefix or the xmlns off.",
        "{name} jest w innej przestrzeni nazw ({namespace}); usuń przedrostek albo xmlns.",
    ),
    "element_unknown": (
        "{parent} has no element {name}; leave it out, or correct its name{hint}.",
        "{parent} nie ma elementu {name}; usuń go albo popraw nazwę{hint_pl}.",
    ),
    "element_order": (
        "{name} stands after {previous}, but belongs before it; the order of elements is fixed.",
        "{name} stoi po {previous}, a powinien przed nim; kolejność elementów jest ustalona.",
    ),
    "element_early": (
        "{name} stands before {expected}, but belongs after it; the order of elements is fixed.",
        "{name} stoi przed {expected}, a powinien po nim; kolejność elementów jest ustalona.",
    ),
    "element_repeated": (
        "{name} stands more than once in {parent}; keep one.",
        "{name} występuje w {parent} więcej niż raz; zostaw jeden.",
    ),
    "element_too_many": (
        "{parent} has more than {limit} of {name}; that is the most.",
        "{parent} ma więcej niż {limit} elementów {name}; to najwyższa liczba.",
    ),
    "element_conflict": (
        "{name} and {previous} exclude each other in {parent}; keep one of the two.",
        "{name} i {previous} wykluczają się w {parent}; zostaw jeden z nich.",
    ),
    "element_missing": (
        "{parent} has no {expected}; add it{before}.",
        "{parent} nie ma elementu {expected}; dodaj go{before_pl}.",
    ),
    "choice_missing": (
        "{parent} has none of {expected}; add one of them{before}.",
        "{parent} nie ma żadnego z elementów {expected}; dodaj jeden z nich{before_pl}.",
    ),
    "text_unexpected": (
        "{name} has elements, so the text {value} must not stand in it; leave it out.",
        "{name} zawiera elementy, więc nie może zawierać tekstu {value}; usuń go.",
    ),
    "element_in_value": (
        "{name} holds a value, so it must not have the element {child}; leave that out.",
        "{name} zawiera wartość, więc nie może mieć elementu {child}; usuń go.",
    ),
    "attribute_unknown": (
        "{name} has no attribute {attribute}; leave it out.",
        "{name} nie ma atrybutu {attribute}; usuń go.",
    ),
    "attribute_missing": (
        "{name} needs the attribute {attribute}; add it.",
        "{name} wymaga atrybutu {attribute}; dodaj go.",
    ),
    # --- values
    "value_missing": (
        "{name} is empty; write {rule}, or leave the element out.",
        "{name} jest pusty; wpisz {rule_pl} albo usuń element.",
    ),
    "value_not_listed": (
        "{name} is {value}, which is none of its values: {rule}.",
        "{name} ma wartość {value} spoza dozwolonych: {rule_pl}.",
    ),
    "value_too_long": (
        "{name} has {length} characters; it may have {limit}. Shorten it.",
        "{name} ma {length} znaków; może mieć {limit}. Skróć go.",
    ),
    "value_too_short": (
        "{name} has {length} characters; it needs {limit}.",
        "{name} ma {length} znaków; wymaga {limit}.",
    ),
    "value_pattern": (
        "{name} is {value}, which is not written as it must be: {rule}.",
        "{name} ma wartość {value}, zapisaną niezgodnie z wzorem: {rule_pl}.",
    ),
    "number_comma": (
        "{name} is {value}; write the number with a point, and without anything between thousands: 1234.56.",
        "{name} ma wartość {value}; zapisz liczbę z kropką i bez separatora tysięcy: 1234.56.",
    ),
    "number_exponent": (
        "{name} is {value}; write the number without an exponent: 1000, not 1e3.",
        "{name} ma wartość {value}; zapisz liczbę bez wykładnika: 1000, nie 1e3.",
    ),
    "number_blank": (
        "{name} is {value}; write the number without blanks in it: 1234.56.",
        "{name} ma wartość {value}; zapisz liczbę bez spacji w środku: 1234.56.",
    ),
    "number_around": (
        "{name} has blanks around the number; leave them out.",
        "{name} ma białe znaki wokół liczby; usuń je.",
    ),
    "number": (
        "{name} is {value}, which is not a number; write {rule}.",
        "{name} ma wartość {value}, która nie jest liczbą; wpisz {rule_pl}.",
    ),
    "number_written": (
        "{name} is {value}; write the number without a plus, without leading zeros, with digits around the point.",
        "{name} ma wartość {value}; zapisz liczbę bez plusa, bez zer na początku, z cyframi przy kropce.",
    ),
    "number_decimals": (
        "{name} is {value}; it may have {limit} decimal places. Round it.",
        "{name} ma wartość {value}; może mieć {limit} miejsc po przecinku. Zaokrąglij ją.",
    ),
    "number_digits": (
        "{name} is {value}; it may have {limit} digits.",
        "{name} ma wartość {value}; może mieć {limit} cyfr.",
    ),
    "number_range": (
        "{name} is {value}; it must be {rule}.",
        "{name} ma wartość {value}; musi być {rule_pl}.",
    ),
    "date": (
        "{name} is {value}; write the date as {rule}.",
        "{name} ma wartość {value}; zapisz datę jako {rule_pl}.",
    ),
    "date_impossible": (
        "{name} is {value}; there is no such day. Correct the date.",
        "{name} ma wartość {value}; nie ma takiego dnia. Popraw datę.",
    ),
    "date_range": (
        "{name} is {value}; it must lie from {least} to {most}.",
        "{name} ma wartość {value}; musi leżeć od {least} do {most}.",
    ),
    # --- what a document of the right shape may have wrong
    "not_checked": (
        "Of PEF, only the file is checked here, not the document.",
        "W przypadku PEF sprawdzany jest tylko plik, a nie dokument.",
    ),
    "check_digit": (
        "The check digit of {value} is wrong; look for a mistake in the number.",
        "Cyfra kontrolna w {value} jest błędna; sprawdź numer.",
    ),
    "future": (
        "{name} is {value}, but in Poland it is {today}; KSeF takes no invoice of a later day.",
        "{name} ma wartość {value}, a w Polsce jest {today}; KSeF nie przyjmuje faktur z późniejszą datą.",
    ),
    "context": (
        "The seller is {value}, and the context {context} is none of the parties; send it in the seller's context.",
        "Sprzedawcą jest {value}, a kontekst {context} nie jest żadnym z podmiotów; wyślij w kontekście sprzedawcy.",
    ),
    "row_value": (
        "{name} is {value}, but quantity, price and discount give {expected}.",
        "{name} ma wartość {value}, a z ilości, ceny i opustu wynika {expected}.",
    ),
    "row_number": (
        "{name} is {value}, as that of an earlier row; number the rows from 1.",
        "{name} ma wartość {value}, jak we wcześniejszym wierszu; ponumeruj wiersze od 1.",
    ),
    "sum_of_rows": (
        "{name} is {value}, but the rows of its rates give {expected}.",
        "{name} ma wartość {value}, a z wierszy o jego stawkach wynika {expected}.",
    ),
    "sum_absent": (
        "The rows have {expected} at rates that belong in {missing}, which is not there; add it.",
        "Wiersze mają {expected} przy stawkach należących do {missing}, którego brak; dodaj go.",
    ),
    "tax": (
        "{name} is {value}, but the tax on {net} at {rate}% is {expected}.",
        "{name} ma wartość {value}, a podatek od {net} według stawki {rate}% to {expected}.",
    ),
    "total": (
        "{name} is {value}, but the sums above it give {expected}.",
        "{name} ma wartość {value}, a z sum powyżej wynika {expected}.",
    ),
    "tax_pln_absent": (
        "The invoice is in {currency}, so the tax of {name} must be given in PLN as well: add {missing}.",
        "Faktura jest w {currency}, więc podatek z {name} trzeba podać także w PLN: dodaj {missing}.",
    ),
    "tax_pln_needless": (
        "The invoice is in PLN, so {name} says nothing; leave it out.",
        "Faktura jest w PLN, więc {name} jest zbędny; usuń go.",
    ),
    "tax_pln": (
        "{name} is {value}, but the tax at the rate {rate} is {expected}.",
        "{name} ma wartość {value}, a podatek po kursie {rate} to {expected}.",
    ),
    "partial_sum": (
        "{name} is {value}, but its parts give {expected}.",
        "{name} ma wartość {value}, a z części składowych wynika {expected}.",
    ),
    "correction": (
        "{name} is {value}, but there is no DaneFaKorygowanej; say which invoice is corrected.",
        "{name} ma wartość {value}, ale brak DaneFaKorygowanej; podaj, która faktura jest korygowana.",
    ),
    "no_correction": (
        "DaneFaKorygowanej names a corrected invoice, but RodzajFaktury is {value}; correct one of the two.",
        "DaneFaKorygowanej wskazuje fakturę korygowaną, ale RodzajFaktury to {value}; popraw jedno z nich.",
    ),
    "settlement": (
        "{name} is {value}, but there is no FakturaZaliczkowa; say which advance invoices are settled.",
        "{name} ma wartość {value}, ale brak FakturaZaliczkowa; podaj rozliczane faktury zaliczkowe.",
    ),
    # --- reading and writing
    "type": (
        "{name} takes {expected}, not {given}.",
        "{name} przyjmuje {expected_pl}, nie {given}.",
    ),
    "float": (
        '{name} was given the float {value}, which is seldom the amount that was meant; give Decimal("{value}").',
        '{name} otrzymał liczbę float {value}, która rzadko jest dokładną kwotą; podaj Decimal("{value}").',
    ),
}
"""What is wrong, in English and in Polish, by code; with names of what a problem fills in."""
